//! Folds what people type and what they look for into one form: letter case, full-width forms
//! and spaces don't matter. Words of two Chinese characters are found because a match may be
//! anywhere in the text; a catalogue of lessons is small enough for that.

/// Most words of a query that count.
const MAX_WORDS: usize = 8;

/// `text` in the form that is compared.
#[must_use]
pub fn fold(text: &str) -> String {
    let narrow = |c: char| match c {
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    };
    text.chars().map(narrow).flat_map(char::to_lowercase).collect()
}

/// The folded words of a query.
#[must_use]
pub fn words(query: &str) -> Vec<String> {
    fold(query).split_whitespace().take(MAX_WORDS).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_and_case_do_not_matter() {
        assert_eq!(fold("Ｕｎｉｔ　３ Test"), "unit 3 test");
        assert_eq!(words(" 函数　ＡＢ "), ["函数", "ab"]);
    }
}
