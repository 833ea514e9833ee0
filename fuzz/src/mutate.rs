//! Damage.

use crate::targets::{Shape, Target};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use retrograd::store::Container;

const NUMBERS: [&str; 22] = [
    "0", "1", "-1", "2", "3", "7", "255", "256", "65535", "65536", "2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807", "18446744073709551615",
    "1e308", "-1e-320", "nan", "inf", "0.5", "99999999999999999999999999",
];
const WORDS: [&str; 40] = [
    "\"", "\\", "{", "}", "[", "]", "[[", "]]", ",", ":", "=", "\n", "\r\n", "\t", "\0", "null", "true", "false", "\\u0000", "\\ud800", "é", "\u{1F600}", "\u{FEFF}",
    "\u{2028}", "F32", "F16", "I64", "BOOL", "shape", "dtype", "data_offsets", "__metadata__", "checksum", "config", "vocabulary", "rnn.weight_hh_l7", "head.weight",
    "full", "random:0.9", "regular:3,8",
];

pub(crate) fn mutate(pool: &[Vec<u8>], target: &Target, draw: &mut ChaCha8Rng) -> Vec<u8> {
    let mut input = pool[draw.random_range(0..pool.len())].clone();
    let other = &pool[draw.random_range(0..pool.len())];
    if target.shape == Shape::Container && draw.random::<f32>() < 0.7 {
        return container(&input, draw).unwrap_or(input);
    }
    for _ in 0..1 << draw.random_range(0..4) {
        bytes(&mut input, other, target.words, draw);
    }
    input.truncate(1 << 20);
    input
}

fn bytes(input: &mut Vec<u8>, other: &[u8], words: &[&str], draw: &mut ChaCha8Rng) {
    let len = input.len();
    let at = draw.random_range(0..len + 1);
    let end = (at + draw.random_range(0..len / 4 + 9)).min(len);
    match draw.random_range(0..10) {
        0 if len > 0 => input[at.min(len - 1)] ^= 1 << draw.random_range(0..8),
        1 if len > 0 => input[at.min(len - 1)] = draw.random(),
        2 => drop(input.drain(at..end)),
        3 => {
            let piece = input[at..end].to_vec();
            let to = draw.random_range(0..len + 1);
            input.splice(to..to, piece);
        }
        4 => {
            let from = draw.random_range(0..other.len() + 1);
            let to = (from + draw.random_range(0..other.len() / 4 + 9)).min(other.len());
            input.splice(at..end.min(at + to - from), other[from..to].iter().copied());
        }
        5 | 6 => {
            let word = if draw.random() && !words.is_empty() { words[draw.random_range(0..words.len())] } else { WORDS[draw.random_range(0..WORDS.len())] };
            let over = if draw.random() { at } else { (at + word.len()).min(len) };
            input.splice(at..over, word.bytes());
        }
        7 | 8 => number(input, at, draw),
        _ => {
            // Deep or long.
            let piece = input[at..end.min(at + 9)].to_vec();
            let many = piece.repeat(1 << draw.random_range(0..12));
            input.splice(at..at, many);
        }
    }
}

/// Puts another number in place of the next one.
fn number(input: &mut Vec<u8>, at: usize, draw: &mut ChaCha8Rng) {
    let Some(from) = (at..input.len()).find(|&i| input[i].is_ascii_digit()) else { return };
    let to = (from..input.len()).find(|&i| !input[i].is_ascii_digit() && input[i] != b'.').unwrap_or(input.len());
    input.splice(from..to, NUMBERS[draw.random_range(0..NUMBERS.len())].bytes());
}

/// Damage to what is inside a container, with the right lengths, and the right checksum more often than not.
fn container(input: &[u8], draw: &mut ChaCha8Rng) -> Option<Vec<u8>> {
    if draw.random::<f32>() < 0.3 {
        // The header's text alone.
        let (length, rest) = input.split_at_checked(8)?;
        let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let (header, data) = rest.split_at_checked(length)?;
        let mut header = header.to_vec();
        bytes(&mut header, b"", &[], draw);
        return Some([&(header.len() as u64).to_le_bytes()[..], &header, data].concat());
    }
    let mut c = Container::from_bytes(input, &["snapshot", "config", "vocabulary"]).ok()?;
    for _ in 0..1 << draw.random_range(0..3) {
        match draw.random_range(0..6) {
            0..3 => {
                let key = c.metadata.keys().nth(draw.random_range(0..c.metadata.len().max(1)))?.clone();
                let mut text = c.metadata[&key].clone().into_bytes();
                bytes(&mut text, b"", &[], draw);
                c.metadata.insert(key, String::from_utf8_lossy(&text).into_owned());
            }
            3 => {
                let key = c.tensors.keys().nth(draw.random_range(0..c.tensors.len().max(1)))?.clone();
                c.tensors.remove(&key);
            }
            4 => {
                let key = c.tensors.keys().nth(draw.random_range(0..c.tensors.len().max(1)))?.clone();
                let (rows, cols) = (draw.random_range(0..40), draw.random_range(0..40));
                c.put(key, &[rows, cols], vec![0.25; (rows * cols) as usize]);
            }
            _ => {
                let key = c.tensors.keys().nth(draw.random_range(0..c.tensors.len().max(1)))?.clone();
                let numbers = &mut c.tensors.get_mut(&key)?.1;
                if !numbers.is_empty() {
                    let i = draw.random_range(0..numbers.len());
                    numbers[i] = [f32::NAN, f32::INFINITY, -0.0, 1e-40, 3e38][draw.random_range(0..5)];
                }
            }
        }
    }
    let mut bytes = c.to_bytes();
    if draw.random::<f32>() < 0.2 {
        let end = draw.random_range(0..bytes.len());
        bytes.truncate(end);
    }
    Some(bytes)
}
