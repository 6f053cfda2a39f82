//! Texts as JSON strings. Prompts are most of what is sent, and serde_json escapes byte by byte.

const HEX: &[u8; 16] = b"0123456789abcdef";
/// What the compiler checks at once, with vector instructions.
const BLOCK: usize = 16;

/// Appends the text as a JSON string, to the byte as serde_json writes it.
///
/// Source: RFC 8259, section 7.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    while let Some(at) = first_escaped(rest) {
        out.extend_from_slice(&rest[..at]);
        write_escaped(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn first_escaped(bytes: &[u8]) -> Option<usize> {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let has_any = |block: &[u8; BLOCK]| block.iter().fold(false, |any, byte| any | is_escaped(*byte));
    let (number, block) = match blocks.iter().position(has_any) {
        Some(number) => (number, blocks[number].as_slice()),
        None => (blocks.len(), rest),
    };
    Some(number * BLOCK + block.iter().position(|byte| is_escaped(*byte))?)
}

const fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn write_escaped(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digit = |half: u8| HEX[usize::from(half)];
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0xf)]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_byte_is_written_as_serde_json_writes_it_wherever_it_stands() {
        for c in (0..0x100).filter_map(char::from_u32).chain(['\u{2028}', '\u{1f600}']) {
            for before in [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK - 1] {
                let text = format!("{}{c}{}", "x".repeat(before), "y".repeat(BLOCK));
                assert_eq!(written(&text), serde_json::to_string(&text).unwrap(), "{c:?} after {before}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_json_writes_it(text in "(\\PC|[\\x00-\\x1f\"\\\\]){0,200}") {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
