//! Damage.

use crate::targets::{Shape, Target};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use retrograd::store::Container;
use serde_json::Value;

const NUMBERS: [&str; 22] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "1e308",
    "-1e-320",
    "nan",
    "inf",
    "0.5",
    "99999999999999999999999999",
];
const WORDS: [&str; 40] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    "[[",
    "]]",
    ",",
    ":",
    "=",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "null",
    "true",
    "false",
    "\\u0000",
    "\\ud800",
    "é",
    "\u{1F600}",
    "\u{FEFF}",
    "\u{2028}",
    "F32",
    "F16",
    "I64",
    "BOOL",
    "shape",
    "dtype",
    "data_offsets",
    "__metadata__",
    "checksum",
    "config",
    "vocabulary",
    "rnn.weight_hh_l7",
    "head.weight",
    "full",
    "random:0.9",
    "regular:3,8",
];

/// An input made of one of a pool, of which the first are good files: of one of these as often as not, since most others lead no further.
pub(crate) fn mutate(pool: &[Vec<u8>], seeds: usize, target: &Target, draw: &mut ChaCha8Rng) -> Vec<u8> {
    let among = if draw.random() { seeds } else { pool.len() };
    let mut input = pool[draw.random_range(0..among)].clone();
    let other = &pool[draw.random_range(0..pool.len())];
    let within = draw.random::<f32>() < 0.7;
    match target.shape {
        Shape::Container if within => return container(&input, target.words, draw).unwrap_or(input),
        Shape::Keys if within => return keys(&input, other, target.words, draw),
        Shape::Rows(separators) if within => return rows(&input, other, separators, target.words, draw),
        _ => {}
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

fn lines(input: &[u8]) -> Vec<Vec<u8>> {
    input.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
}

/// Other values for some keys, and keys that are gone or new.
fn keys(input: &[u8], other: &[u8], words: &[&str], draw: &mut ChaCha8Rng) -> Vec<u8> {
    let key = |line: &[u8]| line.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii().to_vec();
    let (mut own, others) = (lines(input), lines(other));
    for _ in 0..1 << draw.random_range(0..4) {
        let at = draw.random_range(0..own.len().max(1)).min(own.len());
        match draw.random_range(0..8) {
            0 if at < own.len() => drop(own.remove(at)),
            1 if at < own.len() => number(&mut own[at], 0, draw),
            2 if at < own.len() => bytes(&mut own[at], other, words, draw),
            n => {
                let line = if n == 3 { others[draw.random_range(0..others.len())].clone() } else { words[draw.random_range(0..words.len())].into() };
                match own.iter().position(|l| key(l) == key(&line)) {
                    Some(i) => own[i] = line,
                    None => own.insert(at, line),
                }
            }
        }
    }
    own.join(&b'\n')
}

/// Other cells, rows that are gone, doubled, moved or of another table, and rows without end.
fn rows(input: &[u8], other: &[u8], separators: &[u8], words: &[&str], draw: &mut ChaCha8Rng) -> Vec<u8> {
    let (mut own, others) = (lines(input), lines(other));
    for _ in 0..1 << draw.random_range(0..4) {
        let at = draw.random_range(0..own.len().max(1));
        let Some(row) = own.get(at).cloned() else { break };
        match draw.random_range(0..10) {
            0 => drop(own.remove(at)),
            1 => own.insert(at, row),
            2 => {
                let to = draw.random_range(0..own.len());
                own.swap(at, to);
            }
            3 => own.insert(at, others[draw.random_range(0..others.len())].clone()),
            4 => {
                let many = own[at..(at + 5).min(own.len())].to_vec();
                (0..1 << draw.random_range(0..9)).for_each(|_| own.splice(at..at, many.clone()).for_each(drop));
            }
            _ => {
                let Some(separator) = separators.iter().find(|s| row.contains(s)) else { continue };
                let mut cells: Vec<Vec<u8>> = row.split(|b| b == separator).map(<[u8]>::to_vec).collect();
                let i = draw.random_range(0..cells.len());
                cells[i] = match draw.random_range(0..4) {
                    0 => cells[draw.random_range(0..cells.len())].clone(),
                    1 => NUMBERS[draw.random_range(0..NUMBERS.len())].into(),
                    2 => (draw.random_range(-1e6..1e6f64) * 10f64.powi(draw.random_range(-330..330))).to_string().into_bytes(),
                    _ => words[draw.random_range(0..words.len())].into(),
                };
                own[at] = cells.join(separator);
            }
        }
    }
    let mut input = own.join(&b'\n');
    input.truncate(1 << 20);
    input
}

/// Another value somewhere in one of JSON.
fn value(json: &mut Value, words: &[&str], draw: &mut ChaCha8Rng) {
    let inside = draw.random::<f32>() < 0.8;
    match json {
        Value::Object(map) if inside && !map.is_empty() => {
            let key = map.keys().nth(draw.random_range(0..map.len())).cloned().unwrap_or_default();
            match draw.random_range(0..12) {
                0 => drop(map.remove(&key)),
                _ => value(&mut map[&key], words, draw),
            }
        }
        Value::Array(list) if inside && !list.is_empty() => {
            let at = draw.random_range(0..list.len());
            match draw.random_range(0..12) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                2 => list.swap(0, at),
                _ => value(&mut list[at], words, draw),
            }
        }
        _ => {
            let word = if words.is_empty() || draw.random() { WORDS[draw.random_range(0..WORDS.len())] } else { words[draw.random_range(0..words.len())] };
            *json = match (draw.random_range(0..6), &json) {
                (0, _) => Value::Null,
                (1, _) => Value::Bool(draw.random()),
                (2, _) => Value::Array(vec![json.clone(); draw.random_range(0..4)]),
                (3, _) | (_, Value::Number(_)) => {
                    serde_json::from_str(NUMBERS[draw.random_range(0..NUMBERS.len())]).unwrap_or_else(|_| draw.random_range(0..12).into())
                }
                _ => Value::String(word.to_string()),
            };
        }
    }
}

/// Damage to what is inside a container, with the right lengths, and the right checksum more often than not.
fn container(input: &[u8], words: &[&str], draw: &mut ChaCha8Rng) -> Option<Vec<u8>> {
    if draw.random::<f32>() < 0.15 {
        // The header's text alone.
        let (length, rest) = input.split_at_checked(8)?;
        let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let (header, data) = rest.split_at_checked(length)?;
        let mut header = header.to_vec();
        bytes(&mut header, b"", &[], draw);
        return Some([&(header.len() as u64).to_le_bytes()[..], &header, data].concat());
    }
    let mut c = Container::from_bytes(input, &["checkpoint", "config", "format", "labels", "series", "vocabulary"]).ok()?;
    for _ in 0..1 << draw.random_range(0..3) {
        match draw.random_range(0..6) {
            0..3 => {
                let key = c.metadata.keys().nth(draw.random_range(0..c.metadata.len().max(1)))?.clone();
                let text = c.metadata[&key].clone();
                let text = match serde_json::from_str::<Value>(&text) {
                    Ok(mut json) if draw.random::<f32>() < 0.8 => {
                        value(&mut json, words, draw);
                        json.to_string().into_bytes()
                    }
                    // TOML.
                    Err(_) if draw.random::<f32>() < 0.7 => rows(text.as_bytes(), text.as_bytes(), b"=", &NUMBERS, draw),
                    _ => {
                        let mut text = text.into_bytes();
                        bytes(&mut text, b"", words, draw);
                        text
                    }
                };
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
                    numbers[i] = [f32::NAN, f32::INFINITY, -0.0, 1e-40, 3e38, -1.5, 40.0, 1.0][draw.random_range(0..8)];
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
