//! The rules of slides: whoever gives the lesson opens, turns and closes them.

use super::running;
use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::MemberId;
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::slides::{Deck, Slides};

fn open_now(state: &State) -> Result<&Slides, Refusal> {
    state.slides.as_ref().ok_or(Refusal::NoSlides)
}

/// Shows `deck`, also in place of another.
pub(super) fn open(
    state: &State,
    by: &MemberId,
    deck: &Deck,
    page: Option<u16>,
) -> Result<Vec<EventBody>, Refusal> {
    running(state)?;
    if !deck.is_sound() {
        return Err(Refusal::BadDeck);
    }
    let page = page.unwrap_or(1);
    deck.page(page).ok_or(Refusal::NoSuchPage)?;
    if state.slides.as_ref().is_some_and(|s| s.deck == *deck && s.page == page) {
        return Ok(vec![]);
    }
    let deck = Box::new(deck.clone());
    Ok(vec![EventBody::SlidesOpened { deck, page, by: by.clone() }])
}

/// Turns to `page`.
pub(super) fn turn(state: &State, by: &MemberId, page: u16) -> Result<Vec<EventBody>, Refusal> {
    running(state)?;
    let slides = open_now(state)?;
    slides.deck.page(page).ok_or(Refusal::NoSuchPage)?;
    if slides.page == page {
        return Ok(vec![]);
    }
    let deck = slides.deck.id.clone();
    Ok(vec![EventBody::SlidesTurned { deck, page, by: by.clone() }])
}

/// Shows them no more.
pub(super) fn close(state: &State, by: &MemberId) -> Result<Vec<EventBody>, Refusal> {
    running(state)?;
    open_now(state)?;
    Ok(vec![EventBody::SlidesClosed { by: by.clone() }])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Room, id};
    use super::*;
    use cloudschool_protocol::asset::AssetId;
    use cloudschool_protocol::command::MemberCommand;
    use cloudschool_protocol::id::DeckId;
    use cloudschool_protocol::member::Role;
    use cloudschool_protocol::slides::{DeckPage, MAX_PAGES};

    fn deck(name: &str, pages: usize) -> Box<Deck> {
        let asset = AssetId::of_digest([pages as u8; 32]);
        let page = DeckPage { asset, width: 1920, height: 1080, small: None, title: None };
        let id = DeckId::new(name).unwrap();
        Box::new(Deck { id, title: "抛物线".into(), pages: vec![page; pages], text: None })
    }

    fn opened(room: &mut Room, name: &str, pages: usize) -> Result<Vec<EventBody>, Refusal> {
        room.ask("li", MemberCommand::SlidesOpen { deck: deck(name, pages), page: None })
    }

    fn page(room: &Room) -> Option<(String, u16)> {
        room.state.slides.as_ref().map(|s| (s.deck.id.to_string(), s.page))
    }

    #[test]
    fn slides_are_opened_turned_replaced_and_closed() {
        let mut room = Room::live();
        let turn = |page| MemberCommand::SlidesTurn { page };
        assert_eq!(room.ask("li", turn(1)), Err(Refusal::NoSlides));
        assert_eq!(room.ask("li", MemberCommand::SlidesClose), Err(Refusal::NoSlides));
        opened(&mut room, "a", 3).unwrap();
        assert_eq!(page(&room), Some(("a".into(), 1)));
        assert_eq!(opened(&mut room, "a", 3).unwrap(), [], "it is open already");
        room.ask("li", turn(3)).unwrap();
        assert_eq!(room.ask("li", turn(3)).unwrap(), [], "it is there already");
        for none in [0, 4, u16::MAX] {
            assert_eq!(room.ask("li", turn(none)), Err(Refusal::NoSuchPage));
        }
        assert_eq!(page(&room), Some(("a".into(), 3)));
        let at = MemberCommand::SlidesOpen { deck: deck("b", 2), page: Some(2) };
        room.ask("li", at).unwrap();
        assert_eq!(page(&room), Some(("b".into(), 2)));
        room.ask("li", MemberCommand::SlidesClose).unwrap();
        assert_eq!(page(&room), None);
    }

    #[test]
    fn a_deck_that_is_out_of_bounds_is_refused_and_nothing_changes() {
        let mut room = Room::live();
        assert_eq!(opened(&mut room, "a", 0), Err(Refusal::BadDeck));
        assert_eq!(opened(&mut room, "a", MAX_PAGES + 1), Err(Refusal::BadDeck));
        let past = MemberCommand::SlidesOpen { deck: deck("a", 2), page: Some(3) };
        assert_eq!(room.ask("li", past), Err(Refusal::NoSuchPage));
        assert_eq!(page(&room), None);
    }

    #[test]
    fn only_who_gives_the_lesson_shows_slides() {
        for role in
            [Role::Assistant, Role::Classroom, Role::Student, Role::Observer, Role::Operator]
        {
            let mut room = Room::live();
            room.join("me", role, "campus");
            opened(&mut room, "a", 2).unwrap();
            for command in [
                MemberCommand::SlidesOpen { deck: deck("mine", 1), page: None },
                MemberCommand::SlidesTurn { page: 2 },
                MemberCommand::SlidesClose,
            ] {
                let got = room.ask("me", command.clone());
                assert_eq!(got, Err(Refusal::NotAllowed), "{role:?} asked {command:?}");
            }
        }
    }

    #[test]
    fn the_end_of_the_lesson_closes_them() {
        let mut room = Room::live();
        opened(&mut room, "a", 2).unwrap();
        room.ask("li", MemberCommand::End).unwrap();
        assert_eq!(page(&room), None);
        assert_eq!(opened(&mut room, "a", 2), Err(Refusal::Ended));
        assert!(room.state.apply(&room_event(&room)).is_ok());
        assert_eq!(page(&room), None, "what is heard of after the end is of the past");
    }

    /// An event of slides that comes after the end.
    fn room_event(room: &Room) -> cloudschool_protocol::event::Event {
        let body = EventBody::SlidesOpened { deck: deck("late", 1), page: 1, by: id("li") };
        let id = uuid::Uuid::from_u128(1);
        cloudschool_protocol::event::Event::new(room.state.seq + 1, id, 1, body)
    }
}
