//! Claims between unambiguous marks: `Rating: [[5]]`, `<score>5</score>`.

use memchr::memmem;

use super::claim::{Claim, Kind};
use super::coerce::{self, Reading};
use super::expected::Expected;
use super::keys::is_value_key;
use super::prose::Prose;

/// The longest text that is read between two marks, in bytes.
const MAX_INSIDE: usize = 200;

const UNREADABLE: &str = "the text where the verdict belongs cannot be read";

/// All claims between marks.
pub(super) fn claims(prose: &Prose, expected: &Expected<'_>) -> Vec<Claim> {
    let mut found = bracketed(&prose.text, expected);
    found.extend(tagged(&prose.text, expected));
    found
}

/// MT-bench: `Rating: [[5]]`, `[[A]]`. Several words, as in a link, are not a place of a verdict.
fn bracketed(text: &str, expected: &Expected<'_>) -> Vec<Claim> {
    let is_token = |c: char| c.is_alphanumeric() || matches!(c, '.' | '+' | '-' | '_');
    let opening = memmem::find_iter(text.as_bytes(), "[[");
    opening
        .filter_map(|at| {
            let near = &text[at + 2..];
            let end = memmem::find(&near.as_bytes()[..near.len().min(MAX_INSIDE + 2)], b"]]")?;
            let inside = near.get(..end).filter(|inside| !inside.contains('\n'))?;
            let reading = match coerce::whole(inside, expected) {
                Reading::Nothing if inside.trim().chars().all(is_token) => Reading::Ambiguous(UNREADABLE),
                reading => reading,
            };
            Some(Claim::new(at..at + 2 + end + 2, Kind::Marked, reading))
        })
        .collect()
}

/// `<score>4</score>`, also `<final_verdict>`. `<answer>` and `<result>` may hold what is judged, unless they end the text.
fn tagged(text: &str, expected: &Expected<'_>) -> Vec<Claim> {
    let marks: Vec<_> = memchr::memchr_iter(b'<', text.as_bytes()).collect();
    marks
        .windows(2)
        .filter_map(|pair| {
            let (start, close) = (pair[0], pair[1]);
            let (name, inside) = text[start + 1..close].split_once('>')?;
            if !is_value_key(name) || inside.len() > MAX_INSIDE {
                return None;
            }
            let rest = text[close + 1..].strip_prefix('/')?.strip_prefix(name)?.strip_prefix('>')?;
            let names_what_is_judged = ["answer", "result"].iter().any(|other| name.eq_ignore_ascii_case(other));
            let is_own = !names_what_is_judged || rest.trim().is_empty();
            let reading = match coerce::whole(inside, expected) {
                Reading::Nothing => Reading::Ambiguous(UNREADABLE),
                reading => reading,
            };
            let kind = if is_own { Kind::Marked } else { Kind::Mention };
            Some(Claim::new(start..text.len() - rest.len(), kind, reading))
        })
        .collect()
}
