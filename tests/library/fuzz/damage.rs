//! Damage that leaves most of what makes an input sound, so that what is behind the first look is reached.

use crate::inputs::Files;
use rand::Rng;
use rand::rngs::StdRng;
use std::ops::Range;

/// Texts that mean something to some reader.
const WORDS: [&[u8]; 18] = [
    b"\"",
    b"\"\"",
    b",",
    b"\t",
    b"\n",
    b"\r\n",
    b"\0",
    b"[[",
    b"{",
    b"}",
    b"'''",
    b"= ",
    b"true",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xf0\x9f\x92\x8a",
    b"2150-13-45 99:99:99",
    b"2150-01-01",
];

/// Numbers as texts: those where something ends, and those that are none.
const NUMBERS: [&str; 18] = [
    "0",
    "-0",
    "1",
    "-1",
    "0.5",
    "1e999",
    "-1e999",
    "1e-320",
    "NaN",
    "inf",
    "00000000000000000001",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "99999999999999999999",
];

/// Numbers as bytes: those where a width ends.
const LIMITS: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    u64::MAX >> 1,
    1 << 63,
    u64::MAX,
];

/// Bytes of a line that comes many times, all of them together.
const LONGEST_REPEAT: usize = 1 << 16;

/// `files` with one to eight damages; pieces come from `other` and from `words`, which mean something to the reader.
pub fn damaged(files: &Files, other: &Files, words: &[&[u8]], random: &mut StdRng) -> Files {
    let mut files = files.clone();
    for _ in 0..one(&[1, 2, 4, 8], random) {
        if files.is_empty() {
            break;
        }
        let name = any_name(&files, random);
        // A file that is missing, or another one, is found at the first look.
        if random.random_ratio(1, 100) {
            if random.random() {
                files.remove(&name);
            } else {
                let from = any_name(&files, random);
                let bytes = files[&from].clone();
                files.insert(name, bytes);
            }
            continue;
        }
        let piece = other.get(&name).map_or(&[][..], Vec::as_slice);
        let word = match random.random_range(0..words.len() + WORDS.len()) {
            i if i < words.len() => words[i],
            i => WORDS[i - words.len()],
        };
        let Some(bytes) = files.get_mut(&name) else { continue };
        match std::str::from_utf8(bytes).is_ok() && random.random_ratio(2, 3) {
            true => in_text(bytes, piece, word, random),
            false => in_bytes(bytes, piece, word, random),
        }
    }
    files
}

fn any_name(files: &Files, random: &mut StdRng) -> String {
    files.keys().nth(random.random_range(0..files.len())).unwrap().clone()
}

/// One of several.
fn one<T: Copy>(of: &[T], random: &mut StdRng) -> T {
    of[random.random_range(0..of.len())]
}

/// Some bytes, mostly few.
fn some(length: usize, random: &mut StdRng) -> Range<usize> {
    let most: usize = one(&[1, 2, 4, 8, 64, 1024], random);
    let from = random.random_range(0..=length);
    from..length.min(from + random.random_range(1..=most))
}

/// Replaces a part by others.
fn put(bytes: &mut Vec<u8>, at: Range<usize>, piece: &[u8]) {
    drop(bytes.splice(at, piece.iter().copied()));
}

fn in_bytes(bytes: &mut Vec<u8>, other: &[u8], word: &[u8], random: &mut StdRng) {
    let at = some(bytes.len(), random);
    let (start, length) = (at.start, bytes.len());
    let over = |width: usize| start..length.min(start + width);
    match random.random_range(0..12) {
        0 => bytes.truncate(start),
        1 => put(bytes, at, &[]),
        2 => {
            let piece = bytes[at].to_vec();
            let to = random.random_range(0..=bytes.len());
            put(bytes, to..to, &piece);
        }
        3 => put(bytes, start..start, word),
        4 => put(bytes, over(word.len()), word),
        5 | 6 => {
            let width: usize = one(&[1, 2, 4, 8], random);
            let mut number = one(&LIMITS, random).to_le_bytes()[..width].to_vec();
            if random.random() {
                number.reverse();
            }
            put(bytes, over(width), &number);
        }
        7 => {
            let piece = &other[some(other.len(), random)];
            put(bytes, at, piece);
        }
        8 => bytes[at].iter_mut().take(1).for_each(|byte| *byte ^= 1u8 << random.random_range(0..8u32)),
        9 => {
            let step = random.random_range(1..=16u8);
            let step = if random.random() { step } else { step.wrapping_neg() };
            bytes[at].iter_mut().take(1).for_each(|byte| *byte = byte.wrapping_add(step));
        }
        10 => {
            let fill = one(&[0, 0xff], random);
            bytes[at].fill(fill);
        }
        _ => bytes[at].iter_mut().take(4).for_each(|byte| *byte = random.random()),
    }
}

fn in_text(bytes: &mut Vec<u8>, other: &[u8], word: &[u8], random: &mut StdRng) {
    if random.random() { in_lines(bytes, other, random) } else { in_tokens(bytes, word, random) }
}

/// Lines go, come twice or many times, change places, or come from elsewhere.
fn in_lines(bytes: &mut Vec<u8>, other: &[u8], random: &mut StdRng) {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
    let others: Vec<&[u8]> = other.split_inclusive(|&b| b == b'\n').collect();
    if lines.is_empty() {
        return;
    }
    let (i, j) = (random.random_range(0..lines.len()), random.random_range(0..lines.len()));
    match random.random_range(0..6) {
        0 => {
            lines.remove(i);
        }
        1 => lines.swap(i, j),
        2 => lines.truncate(i),
        3 => {
            // A file may be one line: 32 times of it, eight times over, would be what takes the memory.
            let times = random.random_range(1..=32).min(1 + LONGEST_REPEAT / lines[i].len().max(1));
            drop(lines.splice(j..j, std::iter::repeat_n(lines[i], times).collect::<Vec<_>>()));
        }
        4 if !others.is_empty() => lines.insert(j, one(&others, random)),
        _ => lines.insert(j, lines[i]),
    }
    *bytes = lines.concat();
}

/// What stands between separators becomes a number, a word, nothing, or what stands elsewhere.
fn in_tokens(bytes: &mut Vec<u8>, word: &[u8], random: &mut StdRng) {
    let at = token(bytes, random.random_range(0..=bytes.len()));
    let from = token(bytes, random.random_range(0..=bytes.len()));
    let piece = match random.random_range(0..6) {
        0 | 1 => one(&NUMBERS, random).as_bytes().to_vec(),
        2 => word.to_vec(),
        3 => Vec::new(),
        4 => [&bytes[at.clone()], word].concat(),
        _ => bytes[from].to_vec(),
    };
    put(bytes, at, &piece);
}

/// The token around a place.
fn token(bytes: &[u8], at: usize) -> Range<usize> {
    let ends = |b: &u8| b",;\t\r\n\"'[]{}()=:/ ".contains(b);
    let from = bytes[..at].iter().rposition(ends).map_or(0, |before| before + 1);
    let to = bytes[at..].iter().position(ends).map_or(bytes.len(), |n| at + n);
    from..to
}
