//! Mutations of inputs, the same for the same seed.

use fastrand::Rng;

/// Bytes and texts that readers treat in a special way.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b"{}",
    b"[]",
    b":",
    b",",
    b"0",
    b"-",
    b"-0",
    b".",
    b"e",
    b"E+",
    b"1E125",
    b"1E-130",
    b"99999999999999999999999999999999999999",
    b"null",
    b"true",
    b" ",
    b"\n",
    b"\t",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\x80",
    b"{\"S\":\"",
    b"{\"N\":\"",
    b"{\"M\":{",
    b"{\"L\":[",
    b"T",
    b"Z",
    b"+00:00",
    b"@",
    b"=",
    b"==",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\x7f",
];
/// An input doesn't grow beyond this.
const MAX_BYTES: usize = 64 * 1024;

/// Makes inputs from others.
#[derive(Debug)]
pub struct Mutator {
    random: Rng,
}

impl Mutator {
    /// The mutations of this seed.
    pub fn new(seed: u64) -> Mutator {
        Mutator { random: Rng::with_seed(seed) }
    }

    /// One of these inputs, changed in one to four places.
    pub fn next(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.random.choice(inputs).cloned().unwrap_or_default();
        for _ in 0..self.random.usize(1..=4) {
            self.change(&mut input, inputs);
        }
        input.truncate(MAX_BYTES);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let at = self.random.usize(0..=input.len());
        let end = self.random.usize(at..=input.len().min(at + 16));
        match self.random.u8(0..8) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let copied = input[at..end].to_vec();
                let to = self.random.usize(0..=input.len());
                drop(input.splice(to..to, copied));
            }
            3 => {
                let other = self.random.choice(inputs).map(Vec::as_slice).unwrap_or_default();
                let from = self.random.usize(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            4 | 5 => {
                let token = self.random.choice(TOKENS).copied().unwrap_or_default();
                drop(input.splice(at..end, token.iter().copied()));
            }
            6 => input.insert(at, self.random.u8(..)),
            _ => {
                let bit = 1 << self.random.u8(0..8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= bit;
                }
            }
        }
    }
}
