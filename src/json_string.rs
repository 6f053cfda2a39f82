//! Texts as JSON strings. Prompts are most of what is sent, and serde_json escapes byte by byte.

const HEX: &[u8; 16] = b"0123456789abcdef";
/// What the compiler checks at once, with vector instructions.
const BLOCK: usize = 32;

/// Appends the text as a JSON string, to the byte as serde_json writes it.
///
/// Source: RFC 8259, section 7.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let (blocks, rest) = text.as_bytes().as_chunks::<BLOCK>();
    for block in blocks {
        if block.iter().fold(false, |any, byte| any | is_escaped(*byte)) {
            write_bytes(out, block);
        } else {
            out.extend_from_slice(block);
        }
    }
    write_bytes(out, rest);
    out.push(b'"');
}

const fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut plain = 0;
    for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| is_escaped(**byte)) {
        out.extend_from_slice(&bytes[plain..at]);
        plain = at + 1;
        let short = match byte {
            b'"' | b'\\' => *byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => {
                let digit = |half: u8| HEX[usize::from(half)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0xf)]);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(&bytes[plain..]);
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
