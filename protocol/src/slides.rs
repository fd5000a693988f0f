//! Slides: a deck is pages that were made into pictures once, when the teacher chose the file.
//! What crosses is the number of the page; the pictures are [assets](crate::asset).

use crate::asset::AssetId;
use crate::id::DeckId;
use serde::{Deserialize, Serialize};

/// Most pages of a deck.
pub const MAX_PAGES: usize = 300;

/// Longest title of a deck, in characters.
pub const MAX_TITLE: usize = 200;

/// Longest title of a page, in characters.
pub const MAX_PAGE_TITLE: usize = 80;

/// Most of either side of a page's picture, in pixels.
pub const MAX_SIDE: u16 = 8192;

/// Most text of one page that is kept for search, in bytes of UTF-8.
pub const MAX_PAGE_TEXT: usize = 2048;

/// What the asset with a deck's text begins with. After it comes the text of each page, in order:
/// `"pages":["…","…"]}`.
pub const DECK_TEXT: &str = r#"{"cloudschool":"deck-text/1","#;

/// Most bytes of the asset with a deck's text.
pub const MAX_DECK_TEXT: usize = 1 << 20;

/// Where a pointer may be: from 0, left and top, to this, right and bottom.
pub const POINTER_RANGE: u16 = 10_000;

/// Pages to show, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deck {
    /// Of the client's choice; the same file opened again may have the same.
    pub id: DeckId,
    pub title: String,
    pub pages: Vec<DeckPage>,
    /// The text on the pages: an asset that begins with [`DECK_TEXT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<AssetId>,
}

/// One page of a deck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeckPage {
    /// Its picture.
    pub asset: AssetId,
    /// Of the picture, in pixels.
    pub width: u16,
    pub height: u16,
    /// A smaller picture of it: for overviews, and for who saves data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small: Option<AssetId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// The deck that is open, and the page everybody sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slides {
    pub deck: Deck,
    /// 1 for the first.
    pub page: u16,
}

/// Where the teacher points: parts of [`POINTER_RANGE`] of the page's width and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    pub x: u16,
    pub y: u16,
}

impl Spot {
    /// Whether it is on the page.
    #[must_use]
    pub fn is_on_page(self) -> bool {
        self.x <= POINTER_RANGE && self.y <= POINTER_RANGE
    }
}

/// Whether an asset is the text of a deck's pages, within the limits above.
#[must_use]
pub fn is_deck_text(asset: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Text {
        #[serde(rename = "cloudschool")]
        _kind: String,
        pages: Vec<String>,
    }
    let sound = |text: Text| {
        text.pages.len() <= MAX_PAGES && text.pages.iter().all(|page| page.len() <= MAX_PAGE_TEXT)
    };
    asset.len() <= MAX_DECK_TEXT
        && asset.starts_with(DECK_TEXT.as_bytes())
        && serde_json::from_slice(asset).is_ok_and(sound)
}

impl Deck {
    /// Whether it keeps to the limits above and has something to show.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let short = |text: &str, most: usize| {
            text.chars().count() <= most && !text.chars().any(char::is_control)
        };
        let page = |page: &DeckPage| {
            (1..=MAX_SIDE).contains(&page.width)
                && (1..=MAX_SIDE).contains(&page.height)
                && page.title.as_ref().is_none_or(|title| short(title, MAX_PAGE_TITLE))
        };
        short(&self.title, MAX_TITLE)
            && !self.title.trim().is_empty()
            && (1..=MAX_PAGES).contains(&self.pages.len())
            && self.pages.iter().all(page)
    }

    /// A page by its number, 1 for the first.
    #[must_use]
    pub fn page(&self, number: u16) -> Option<&DeckPage> {
        self.pages.get(usize::from(number).checked_sub(1)?)
    }

    /// Every asset of it.
    pub fn assets(&self) -> impl Iterator<Item = AssetId> {
        let pictures = self.pages.iter().flat_map(|page| [Some(page.asset), page.small]);
        pictures.chain([self.text]).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deck(pages: usize) -> Deck {
        let page = DeckPage {
            asset: AssetId::of_digest([1; 32]),
            width: 1920,
            height: 1080,
            small: Some(AssetId::of_digest([2; 32])),
            title: Some("抛物线".into()),
        };
        let id = DeckId::new("d1").unwrap();
        Deck { id, title: "二次函数.pdf".into(), pages: vec![page; pages], text: None }
    }

    #[test]
    fn a_deck_has_a_bearable_number_of_pages_with_bearable_titles() {
        assert!(deck(1).is_sound() && deck(MAX_PAGES).is_sound());
        assert!(!deck(0).is_sound() && !deck(MAX_PAGES + 1).is_sound());
        let titled = |title: &str| Deck { title: title.into(), ..deck(1) }.is_sound();
        assert!(titled(&"课".repeat(MAX_TITLE)));
        assert!(!titled(&"课".repeat(MAX_TITLE + 1)) && !titled(" ") && !titled("a\nb"));
        let mut flat = deck(2);
        flat.pages[1].height = 0;
        assert!(!flat.is_sound());
        let mut talkative = deck(2);
        talkative.pages[0].title = Some("x".repeat(MAX_PAGE_TITLE + 1));
        assert!(!talkative.is_sound());
    }

    #[test]
    fn the_largest_deck_fits_a_socket_message_with_room_for_the_lesson() {
        let mut largest = deck(MAX_PAGES);
        largest.title = "课".repeat(MAX_TITLE);
        for page in &mut largest.pages {
            page.title = Some("课".repeat(MAX_PAGE_TITLE));
        }
        let json = serde_json::to_string(&largest).unwrap();
        assert!(json.len() < crate::socket::MAX_MESSAGE * 3 / 4, "{}", json.len());
    }

    #[test]
    fn the_text_of_a_deck_is_that_and_nothing_else() {
        let text = |rest: &str| is_deck_text(format!("{DECK_TEXT}{rest}").as_bytes());
        assert!(text(r#""pages":["抛物线",""]}"#));
        assert!(!text(r#""pages":["a"],"more":1}"#) && !text(r#""pages":[1]}"#) && !text("}"));
        assert!(!text(&format!(r#""pages":["{}"]}}"#, "x".repeat(MAX_PAGE_TEXT + 1))));
        let long = vec!["\"\""; MAX_PAGES + 1].join(",");
        assert!(!text(&format!(r#""pages":[{long}]}}"#)));
        assert!(!is_deck_text(br#"{"pages":[]}"#));
    }

    #[test]
    fn pages_are_counted_from_one() {
        let deck = deck(2);
        assert!(deck.page(0).is_none() && deck.page(1).is_some() && deck.page(2).is_some());
        assert!(deck.page(3).is_none());
        assert_eq!(deck.assets().count(), 4);
        let json = serde_json::to_value(&deck).unwrap();
        assert_eq!(json["pages"][0]["asset"], "01".repeat(32));
        assert_eq!(serde_json::from_value::<Deck>(json).unwrap(), deck);
    }
}
