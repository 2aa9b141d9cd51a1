//! Changes of sound inputs.

/// A change: how, where, over how many bytes, and with what.
pub type Edit = (u8, u16, u8, u32);

/// Bytes with one change; `words` mean something to the reader.
pub fn edited(mut bytes: Vec<u8>, (how, at, length, with): Edit, words: &[&[u8]]) -> Vec<u8> {
    let at = usize::from(at) % (bytes.len() + 1);
    let end = bytes.len().min(at + usize::from(length));
    let mut number = with.to_le_bytes();
    let piece = match how % 6 {
        0 => Vec::new(),
        1 => number[..1].to_vec(),
        2 => number.to_vec(),
        3 => {
            number.reverse();
            number.to_vec()
        }
        4 => bytes[at..end].repeat(2),
        _ => words[with as usize % words.len()].to_vec(),
    };
    drop(bytes.splice(at..end, piece));
    bytes
}
