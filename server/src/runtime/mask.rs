//! Takes keys out of a runtime's log before anybody reads it.

/// What keys begin with: ours, and those of providers that somebody may have typed in.
const BEGINNINGS: [&str; 22] = [
    "cl_rt_",
    "cl_live_",
    "sk-",
    "sk_",
    "AIza",
    "AKIA",
    "ASIA",
    "ghu_",
    "ghr_",
    "npm_",
    "xai-",
    "eyJ",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "hf_",
    "xapp-",
    "xoxb-",
    "xoxp-",
    "gsk_",
];
/// A shorter word behind such a beginning is a word.
const SHORTEST: usize = 12;

/// The line with every key cut down to its beginning.
#[must_use]
pub fn keys(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((at, beginning)) = first(rest) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let length = from.find(|character: char| !is_of_key(character)).unwrap_or(from.len());
        let (word, after) = from.split_at(length);
        let starts_word = !before.chars().next_back().is_some_and(char::is_alphanumeric) || ends_escaped(before);
        if starts_word && length - beginning.len() >= SHORTEST {
            text.push_str(beginning);
            text.push('…');
        } else {
            text.push_str(word);
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

fn first(text: &str) -> Option<(usize, &'static str)> {
    BEGINNINGS.iter().filter_map(|beginning| text.find(beginning).map(|at| (at, *beginning))).min()
}

/// Whether the last letter belongs to an escape (`\n` of a quoted text, `%3D` of an address) and not to a word.
fn ends_escaped(before: &str) -> bool {
    let end = before.as_bytes();
    let quoted = matches!(end, [.., b'\\', b'n' | b'r' | b't']);
    quoted || matches!(end, [.., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

fn is_of_key(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::keys;

    #[test]
    fn keys_are_cut_and_words_are_not() {
        assert_eq!(keys("Authorization: Bearer cl_rt_00112233445566778899_aabbcc, next"), "Authorization: Bearer cl_rt_…, next");
        assert_eq!(keys("key=sk-proj-abcdefghijklmnop"), "key=sk-…");
        assert_eq!(keys("a task-force of sk-8 and risk-averse people"), "a task-force of sk-8 and risk-averse people");
        assert_eq!(keys("token ghs_0123456789abcdef and eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"), "token ghs_… and eyJ….eyJ….c2ln");
        assert_eq!(keys(r#"{"text":"mine\nsk-proj-abcdefghijklmnop"}"#), r#"{"text":"mine\nsk-…"}"#);
        assert_eq!(keys("/?key%3Dsk-abcdefghijklmnop&x=1"), "/?key%3Dsk-…&x=1");
        assert_eq!(keys("two sk-aaaaaaaaaaaaaaaa sk-bbbbbbbbbbbbbbbb"), "two sk-… sk-…");
    }
}
