//! Texts people write: plain, bounded, and without what would only disturb those who read them.
//! Markup means nothing anywhere, so none is taken out.

use cloudschool_protocol::refusal::Refusal;

/// A text of one line and at most `most` characters.
pub(super) fn line(text: &str, most: usize) -> Result<String, Refusal> {
    bounded(text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }), most)
}

/// A text of any number of lines and at most `most` characters.
pub(super) fn lines(text: &str, most: usize) -> Result<String, Refusal> {
    bounded(text.chars(), most)
}

/// A line that may be left out, and is when nothing is in it.
pub(super) fn optional(text: Option<&String>, most: usize) -> Result<Option<String>, Refusal> {
    match text.map(|text| line(text, most)) {
        None | Some(Err(Refusal::Empty)) => Ok(None),
        Some(text) => text.map(Some),
    }
}

fn bounded(text: impl Iterator<Item = char>, most: usize) -> Result<String, Refusal> {
    let text: String = text.filter(|c| !disturbs(*c)).collect();
    let text = text.trim();
    if text.is_empty() {
        return Err(Refusal::Empty);
    }
    if text.chars().count() > most {
        return Err(Refusal::TooLong);
    }
    Ok(text.to_owned())
}

/// Control characters, and those that turn the direction of the text around them.
fn disturbs(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n') || turns || c == '\u{feff}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_what_can_be_read() {
        let markup = "<script>alert('你好')</script>";
        assert_eq!(line(markup, 50).unwrap(), markup, "it is plain text, and stays it");
        assert_eq!(line("  a\r\n\tb\u{0} ", 9).unwrap(), "a   b");
        assert_eq!(lines(" 一\n二 ", 9).unwrap(), "一\n二");
        assert_eq!(line("\u{202e}olleh", 9).unwrap(), "olleh");
        assert_eq!(line("👩‍🏫", 9).unwrap(), "👩‍🏫");
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        for nothing in ["", " \n\t", "\u{feff}\u{202e}\u{7}"] {
            assert_eq!(line(nothing, 9), Err(Refusal::Empty));
            assert_eq!(optional(Some(&nothing.to_owned()), 9), Ok(None));
        }
        assert_eq!(line(&"课".repeat(9), 9).unwrap().chars().count(), 9);
        assert_eq!(line(&"课".repeat(10), 9), Err(Refusal::TooLong));
        assert_eq!(optional(Some(&"课".repeat(10)), 9), Err(Refusal::TooLong));
        assert_eq!(optional(None, 9), Ok(None));
    }
}
