//! Dropout factors by their definition: Threefry-4x32 with 20 rounds, written independently from its paper (Salmon et al., 2011).
#![forbid(unsafe_code)]

/// `[T,B,H]`: 0 where a unit is dropped, else 1/(1-p), for steps 0.., for the h that `layer` (counted from 0) reads from the layer below.
pub fn factors(p: f64, seed: u64, update: u32, layer: u32, [steps, lanes, hidden]: [u32; 3]) -> Vec<f64> {
    let key = [seed as u32, (seed >> 32) as u32, update, layer];
    let mut all = Vec::new();
    for step in 0..steps {
        for lane in 0..lanes {
            for unit in 0..hidden {
                let word = threefry([step, lane, unit / 4, 0], key)[unit as usize % 4];
                all.push(if f64::from(word) < (p * 4_294_967_296.0).floor() { 0.0 } else { 1.0 / (1.0 - p) });
            }
        }
    }
    all
}

/// Four words of the generator.
fn threefry(counter: [u32; 4], key: [u32; 4]) -> [u32; 4] {
    let schedule = [key[0], key[1], key[2], key[3], key[0] ^ key[1] ^ key[2] ^ key[3] ^ 0x1BD1_1BDA];
    let injected = |x: [u32; 4], s: u32| {
        let at = |i: u32| schedule[((s + i) % 5) as usize];
        [x[0].wrapping_add(at(0)), x[1].wrapping_add(at(1)), x[2].wrapping_add(at(2)), x[3].wrapping_add(at(3)).wrapping_add(s)]
    };
    let mix = |a: u32, b: u32, turn: u32| {
        let sum = a.wrapping_add(b);
        (sum, b.rotate_left(turn) ^ sum)
    };
    let turns = [(10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20)];
    let mut x = injected(counter, 0);
    for round in 0..20 {
        let (first, second) = turns[round % 8];
        let (a, b) = mix(x[0], x[1], first);
        let (c, d) = mix(x[2], x[3], second);
        // The words are permuted before the next round.
        x = [a, d, c, b];
        if round % 4 == 3 {
            x = injected(x, round as u32 / 4 + 1);
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(threefry([0; 4], [0; 4]), [0x9c6c_a96a, 0xe17e_ae66, 0xfc10_ecd4, 0x5256_a7d8]);
        assert_eq!(threefry([u32::MAX; 4], [u32::MAX; 4]), [0x2a88_1696, 0x5701_2287, 0xf6c7_446e, 0xa16a_6732]);
    }
}
