//! What the class was shown beside the picture and the sound: pages of slides and the board, by
//! when. Follows from the lesson's events; published beside the media with the pictures and the
//! board's changes, so that a replay needs nobody but the library.

use cloudschool_protocol::asset::{AssetId, AssetKind};
use cloudschool_protocol::board::pictures;
use cloudschool_protocol::id::{DeckId, MemberId};
use cloudschool_protocol::lesson::showing::Layout;
use cloudschool_protocol::lesson::{Phase, State};
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::{Member, Role};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// Most changes of what is shown that are kept of a lesson: one every two seconds for three hours.
const MAX_MOMENTS: usize = 5_400;

/// What is published of it, and the board's changes beside it.
pub const FILE: &str = "shown.json";
pub const BOARD: &str = "board.changes";

/// What the class is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "show", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Show {
    /// Cameras or a shared screen alone: they are in the recording.
    Media,
    Board,
    Slides {
        deck: DeckId,
        /// 1 for the first.
        page: u16,
        asset: AssetId,
        /// Of the picture, in pixels.
        width: u16,
        height: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
}

/// From when on it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    #[serde(flatten)]
    pub show: Show,
}

/// What a run of a lesson showed, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shown {
    pub moments: Vec<Moment>,
}

/// The published file: the same by the recording's time, and where pictures are.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Published<'a> {
    moments: Vec<PublishedMoment<'a>>,
    /// Names of files, by asset. One that never came is not in it.
    pictures: BTreeMap<AssetId, String>,
    /// The board's changes, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    board: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PublishedMoment<'a> {
    /// Milliseconds of the recording.
    start_ms: u64,
    #[serde(flatten)]
    show: &'a Show,
}

impl Shown {
    /// The lesson is like this from `at_ms` on; `begins` when a run begins with it.
    pub fn see(&mut self, at_ms: u64, state: &State, begins: bool) {
        if begins {
            self.moments.clear();
        }
        if state.phase != Phase::Live || self.moments.len() >= MAX_MOMENTS {
            return;
        }
        let show = show(state);
        if self.moments.last().map_or(&Show::Media, |last| &last.show) != &show {
            self.moments.push(Moment { at_ms, show });
        }
    }

    /// The pictures that were shown.
    pub fn pictures(&self) -> BTreeSet<AssetId> {
        let asset = |moment: &Moment| match moment.show {
            Show::Slides { asset, .. } => Some(asset),
            Show::Media | Show::Board => None,
        };
        self.moments.iter().filter_map(asset).collect()
    }

    /// Puts what was shown into `out`, with what of it is in `dir`, the lesson's directory. Says
    /// whether there is anything.
    ///
    /// # Errors
    /// When a file can't be read or written.
    pub fn publish(&self, dir: &Path, out: &Path, started_ms: u64) -> io::Result<bool> {
        if self.moments.is_empty() {
            return Ok(false);
        }
        let mut pictures = BTreeMap::new();
        let board = copy(&dir.join(BOARD), &out.join(BOARD))?;
        let mut assets = self.pictures();
        if board {
            assets.extend(pictures_of_board(&std::fs::read(dir.join(BOARD))?));
        }
        for asset in assets {
            if let Some((from, kind)) = kept(dir, &asset) {
                let name = format!("{asset}.{}", kind.extension());
                if copy(&from, &out.join(&name))? {
                    pictures.insert(asset, name);
                }
            }
        }
        let moment = |m: &'_ Moment| (m.at_ms.saturating_sub(started_ms), m.show.clone());
        let moments: Vec<(u64, Show)> = self.moments.iter().map(moment).collect();
        let moments =
            moments.iter().map(|(start_ms, show)| PublishedMoment { start_ms: *start_ms, show });
        let published =
            Published { moments: moments.collect(), pictures, board: board.then_some(BOARD) };
        crate::writer::replace(&out.join(FILE), &serde_json::to_vec(&published)?)?;
        Ok(true)
    }
}

/// Where an asset is kept in a lesson's directory until it is published.
#[must_use]
pub fn asset_file(dir: &Path, asset: &AssetId, kind: AssetKind) -> PathBuf {
    dir.join(format!("asset.{asset}.{}", kind.extension()))
}

/// An asset in a lesson's directory, and what it is.
#[must_use]
pub fn kept(dir: &Path, asset: &AssetId) -> Option<(PathBuf, AssetKind)> {
    let files = AssetKind::ALL.map(|kind| (asset_file(dir, asset, kind), kind));
    files.into_iter().find(|(path, _)| path.exists())
}

/// The pictures that are, or were, on a board.
#[must_use]
pub fn pictures_of_board(changes: &[u8]) -> BTreeSet<AssetId> {
    pictures::named(changes).take(MAX_MOMENTS).collect()
}

fn copy(from: &Path, to: &Path) -> io::Result<bool> {
    match std::fs::copy(from, to) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a class's screen shows large: the rule of the pages (`lesson/scene.ts`), for somebody who
/// is nobody of the lesson.
fn show(state: &State) -> Show {
    let teacher = state.teacher().map(|m| &m.id);
    let has = |member: Option<&MemberId>, source| {
        member.is_some_and(|m| state.tracks.contains_key(&TrackId::new(m.clone(), source)))
    };
    let view = &state.view;
    let staged = || [view.focus.as_ref()].into_iter().flatten().chain(&state.stage);
    let room = |m: &&Member| m.role == Role::Classroom && has(Some(&m.id), Source::Camera);
    let media = match view.layout {
        Layout::Board => return Show::Board,
        Layout::Teacher => !view.auto && has(teacher, Source::Camera),
        Layout::Screen => {
            has(teacher, Source::Screen) || staged().any(|m| has(Some(m), Source::Screen))
        }
        Layout::Stage => staged().any(|m| has(Some(m), Source::Camera)),
        Layout::Grid => state.members.values().any(|m| room(&m)),
        Layout::Slides | Layout::SlidesTeacher if state.slides.is_some() => false,
        Layout::Slides | Layout::SlidesTeacher | Layout::Auto => has(teacher, Source::Screen),
    };
    // As long as nobody has chosen a camera, a shared screen comes before slides.
    let directed = matches!(view.layout, Layout::Slides | Layout::SlidesTeacher);
    if media || (!directed && has(teacher, Source::Screen)) {
        return Show::Media;
    }
    let Some(slides) = &state.slides else { return Show::Media };
    let page = usize::from(slides.page).checked_sub(1).and_then(|at| slides.deck.pages.get(at));
    page.map_or(Show::Media, |page| Show::Slides {
        deck: slides.deck.id.clone(),
        page: slides.page,
        asset: page.asset,
        width: page.width,
        height: page.height,
        title: page.title.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudschool_protocol::id::{LessonId, NodeId, SchoolId};
    use cloudschool_protocol::lesson::{LessonInfo, PublishedTrack};
    use cloudschool_protocol::media::Codec;

    fn lesson() -> State {
        let campus = SchoolId::new("campus").unwrap();
        let mut state = State::new(LessonInfo {
            id: LessonId::new("m").unwrap(),
            title: String::new(),
            subject: String::new(),
            grade: String::new(),
            teacher: String::new(),
            campus: campus.clone(),
            schools: vec![],
            school_names: Default::default(),
            planned_start_ms: None,
            planned_minutes: None,
            code: None,
        });
        let (id, node) = (MemberId::new("li").unwrap(), NodeId::new("campus").unwrap());
        let member =
            Member { id: id.clone(), name: "n".into(), role: Role::Teacher, school: campus, node };
        state.members.insert(id, member);
        state.phase = Phase::Live;
        state
    }

    fn publish(state: &mut State, source: Source) {
        let track = TrackId::new(MemberId::new("li").unwrap(), source);
        let (codec, node) = (Codec::H264, NodeId::new("campus").unwrap());
        state.tracks.insert(track.clone(), PublishedTrack { track, codec, node });
    }

    fn open(state: &mut State, page: u16) {
        let asset = |n: u8| AssetId::of_digest([n; 32]).to_string();
        let page_of = |n| serde_json::json!({"asset": asset(n), "width": 16, "height": 9});
        let deck = serde_json::json!({"id": "d", "title": "t", "pages": [page_of(1), page_of(2)]});
        let slides = serde_json::json!({"deck": deck, "page": page});
        state.slides = serde_json::from_value(slides).unwrap();
    }

    fn told(shown: &Shown) -> Vec<(u64, String)> {
        let say = |show: &Show| match show {
            Show::Media => "media".to_owned(),
            Show::Board => "board".to_owned(),
            Show::Slides { page, .. } => format!("slides {page}"),
        };
        shown.moments.iter().map(|m| (m.at_ms, say(&m.show))).collect()
    }

    #[test]
    fn pages_and_the_board_are_kept_as_the_class_saw_them() {
        let (mut shown, mut state) = (Shown::default(), lesson());
        publish(&mut state, Source::Camera);
        shown.see(1, &state, true);
        open(&mut state, 1);
        shown.see(2, &state, false);
        open(&mut state, 2);
        shown.see(3, &state, false);
        shown.see(4, &state, false);
        state.view.layout = Layout::Board;
        shown.see(5, &state, false);
        state.view.layout = Layout::Slides;
        shown.see(6, &state, false);
        state.view.layout = Layout::Teacher;
        shown.see(7, &state, false);
        state.view.auto = false;
        shown.see(8, &state, false);
        state.phase = Phase::Ended;
        state.slides = None;
        shown.see(9, &state, false);
        let expected =
            [(2, "slides 1"), (3, "slides 2"), (5, "board"), (6, "slides 2"), (8, "media")];
        assert_eq!(told(&shown), expected.map(|(at, what)| (at, what.to_owned())));
        assert_eq!(shown.pictures().len(), 2);
    }

    #[test]
    fn a_shared_screen_takes_the_place_of_slides_unless_they_were_chosen() {
        let (mut shown, mut state) = (Shown::default(), lesson());
        open(&mut state, 1);
        shown.see(1, &state, true);
        publish(&mut state, Source::Screen);
        shown.see(2, &state, false);
        state.view.layout = Layout::SlidesTeacher;
        shown.see(3, &state, false);
        let expected = [(1, "slides 1"), (2, "media"), (3, "slides 1")];
        assert_eq!(told(&shown), expected.map(|(at, what)| (at, what.to_owned())));
        shown.see(4, &lesson(), true);
        assert!(shown.moments.is_empty(), "another run begins with nothing of the one before");
    }

    #[test]
    fn the_pictures_on_a_board_are_found_in_its_changes() {
        let asset = AssetId::of_digest([0xa7; 32]);
        let mut changes = vec![7; 30];
        changes.extend([1, b'a', 119, 64]);
        changes.extend(asset.to_string().bytes());
        changes.extend([1, b'a', 119, 64]);
        changes.extend([b'Z'; 64]);
        assert_eq!(pictures_of_board(&changes), BTreeSet::from([asset]));
        assert!(pictures_of_board(&changes[..90]).is_empty());
    }

    #[test]
    fn what_is_published_is_by_the_recordings_time_and_names_the_pictures_that_came() {
        let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut shown, mut state) = (Shown::default(), lesson());
        open(&mut state, 1);
        shown.see(1000, &state, true);
        open(&mut state, 2);
        shown.see(3500, &state, false);
        let first = AssetId::of_digest([1; 32]);
        std::fs::write(asset_file(dir.path(), &first, AssetKind::Webp), b"picture").unwrap();
        std::fs::write(dir.path().join(BOARD), b"changes").unwrap();
        assert!(shown.publish(dir.path(), out.path(), 1000).unwrap());
        let read = std::fs::read(out.path().join(FILE)).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&read).unwrap();
        assert_eq!(read["moments"][1]["startMs"], 2500);
        assert_eq!(read["moments"][1]["show"], "slides");
        assert_eq!(
            read["pictures"],
            serde_json::json!({first.to_string(): format!("{first}.webp")})
        );
        assert_eq!(std::fs::read(out.path().join(format!("{first}.webp"))).unwrap(), b"picture");
        assert_eq!(read["board"], BOARD);
        assert_eq!(std::fs::read(out.path().join(BOARD)).unwrap(), b"changes");
        assert!(!Shown::default().publish(dir.path(), out.path(), 0).unwrap());
    }
}
