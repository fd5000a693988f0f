use super::*;
use proptest::prelude::*;

const PACKET: Duration = Duration::from_millis(20);

/// Levels as browsers send them: speech with the voice bit, a quiet room without.
const SPEECH: u8 = 0x80 | 25;
const LOUD: u8 = 0x80 | 18;
const ROOM: u8 = 80;

const NOBODY: [usize; 0] = [];

/// Microphones that each send a packet every 20 ms.
struct Class {
    loudest: Loudest,
    seats: Vec<Entrant>,
    now: Instant,
    /// Who took which place when.
    taken: Vec<(Instant, usize, Taken)>,
}

impl Class {
    fn of(microphones: usize) -> Self {
        let mut loudest = Loudest::default();
        let seats = (0..microphones).map(|_| loudest.enter()).collect();
        Self { loudest, seats, now: Instant::now(), taken: vec![] }
    }

    /// One packet of everybody.
    fn packet(&mut self, level: impl Fn(usize) -> u8) {
        self.now += PACKET;
        for (who, seat) in self.seats.iter().enumerate() {
            if let Some(taken) = self.loudest.hear(*seat, Some(level(who)), self.now) {
                self.taken.push((self.now, who, taken));
            }
        }
    }

    fn pass(&mut self, by: Duration, level: impl Fn(usize) -> u8) {
        for _ in 0..by.as_millis() / PACKET.as_millis() {
            self.packet(&level);
        }
    }

    fn speaks(&mut self, who: usize, by: Duration) {
        self.pass(by, |w| if w == who { SPEECH } else { ROOM });
    }

    fn heard(&self) -> Vec<usize> {
        let has = |s: &Entrant| self.loudest.place_of(*s).is_some();
        (0..self.seats.len()).filter(|w| has(&self.seats[*w])).collect()
    }
}

/// Who has each place.
fn holders(class: &Class) -> [Option<Entrant>; PLACES] {
    class.loudest.places.map(|p| p.holder)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn whoever_speaks_alone_has_a_place_with_the_second_packet_and_nothing_of_it_is_lost() {
    let mut class = Class::of(40);
    class.pass(5 * SECOND, |_| ROOM);
    class.speaks(7, PACKET);
    assert_eq!(class.heard(), NOBODY);
    class.speaks(7, PACKET);
    assert_eq!(class.heard(), [7]);
    let (_, _, taken) = class.taken[0];
    assert_eq!(taken.before, 1 + SOFT_START, "the first loud packet and what led up to it");
}

#[test]
fn a_place_is_kept_through_pauses_and_given_back_after_them() {
    let mut class = Class::of(10);
    class.speaks(3, SECOND);
    class.pass(Duration::from_millis(1400), |_| ROOM);
    assert_eq!(class.heard(), [3], "it pauses");
    class.speaks(3, SECOND);
    class.pass(Duration::from_millis(1600), |_| ROOM);
    assert_eq!(class.heard(), NOBODY);
    assert_eq!(class.taken.len(), 1);
    class.speaks(3, SECOND);
    assert_eq!(class.taken[1].2.place, class.taken[0].2.place, "it comes back to its own line");
}

#[test]
fn a_fourth_speaker_takes_a_place_only_by_being_clearly_louder_for_a_while() {
    let mut class = Class::of(10);
    let three = |w: usize| if w < 3 { SPEECH } else { ROOM };
    class.pass(2 * SECOND, three);
    class.pass(5 * SECOND, |w| if w == 9 { SPEECH } else { three(w) });
    assert_eq!(class.heard(), [0, 1, 2], "as loud is not louder");
    class.pass(Duration::from_millis(180), |w| if w == 9 { LOUD } else { three(w) });
    assert_eq!(class.heard(), [0, 1, 2], "a cough");
    class.pass(SECOND, three);
    class.pass(Duration::from_millis(500), |w| if w == 9 { LOUD } else { three(w) });
    assert!(class.heard().contains(&9));
    assert_eq!(class.heard().len(), PLACES);
}

#[test]
fn who_has_stopped_speaking_gives_way_sooner_than_who_is_speaking() {
    let mut class = Class::of(10);
    class.pass(2 * SECOND, |w| if w < 3 { SPEECH } else { ROOM });
    let two = |w: usize| if w < 2 { SPEECH } else { ROOM };
    class.pass(Duration::from_millis(360), two);
    class.pass(2 * PACKET, |w| if w == 9 { SPEECH } else { two(w) });
    assert_eq!(class.heard(), [0, 1, 2], "it may be looking for a word");
    class.pass(Duration::from_millis(300), two);
    class.pass(2 * PACKET, |w| if w == 9 { SPEECH } else { two(w) });
    assert_eq!(class.heard(), [0, 1, 9]);
    assert_eq!(class.taken.last().unwrap().2.before, SOFT_START, "with its first packet, by now");
}

#[test]
fn of_several_who_want_a_place_at_once_the_loudest_goes_first() {
    let mut class = Class::of(12);
    class.pass(2 * SECOND, |w| if w < 3 { SPEECH } else { ROOM });
    // The quietest is always asked first.
    let five = |w: usize| if (5..10).contains(&w) { 0x80 | (44 - 6 * (w as u8 - 5)) } else { ROOM };
    class.pass(Duration::from_millis(600), five);
    assert_eq!(class.heard(), [7, 8, 9]);
    assert_eq!(class.taken.len(), 2 * PLACES, "none of the others had one meanwhile");
}

#[test]
fn who_has_been_speaking_for_long_is_not_caught_up_with() {
    let mut class = Class::of(10);
    class.pass(2 * SECOND, |w| if w < 3 { SPEECH } else { ROOM });
    class.pass(2 * SECOND, |w| match w {
        0..3 => SPEECH,
        9 => LOUD,
        _ => ROOM,
    });
    let (_, who, taken) = class.taken[PLACES];
    assert_eq!((who, taken.before), (9, 0));
}

#[test]
fn a_fan_is_not_a_voice_and_a_voice_over_a_fan_is() {
    let mut class = Class::of(5);
    // No voice detector at work: the level alone tells.
    let fan = |w: usize| if w == 2 { 50 } else { ROOM };
    class.pass(20 * SECOND, fan);
    assert_eq!(class.heard(), NOBODY);
    class.pass(Duration::from_millis(60), |w| if w == 2 { 30 } else { ROOM });
    assert_eq!(class.heard(), [2]);
}

#[test]
fn a_single_click_is_nothing_and_one_that_comes_again_and_again_is_something() {
    let mut class = Class::of(3);
    class.pass(2 * SECOND, |_| ROOM);
    class.speaks(1, PACKET);
    class.pass(2 * SECOND, |_| ROOM);
    class.speaks(1, PACKET);
    assert_eq!(class.heard(), NOBODY);
    for _ in 0..4 {
        class.pass(Duration::from_millis(480), |_| ROOM);
        class.speaks(1, PACKET);
    }
    assert_eq!(class.heard(), [1]);
    assert_eq!(class.taken.len(), 1);
}

#[test]
fn the_senders_own_verdict_counts_where_it_gives_one() {
    let mut class = Class::of(2);
    class.speaks(0, 2 * SECOND);
    class.pass(2 * SECOND, |_| ROOM);
    assert_eq!(class.heard(), NOBODY);
    // As loud as before, but its sender knows that it is no voice.
    class.pass(2 * SECOND, |w| if w == 0 { 25 } else { ROOM });
    assert_eq!(class.heard(), NOBODY);
}

#[test]
fn a_muted_microphone_is_out_at_once_and_begins_anew() {
    let mut class = Class::of(5);
    class.speaks(4, SECOND);
    class.loudest.silence(class.seats[4], class.now);
    assert_eq!(class.heard(), NOBODY);
    class.speaks(4, PACKET);
    assert_eq!(class.heard(), NOBODY, "what it said before is not in its favour");
    class.speaks(4, PACKET);
    assert_eq!(class.heard(), [4]);
}

#[test]
fn a_microphone_that_tells_no_level_is_heard_until_somebody_speaks_up() {
    let (mut class, mut now) = (Class::of(4), Instant::now());
    for _ in 0..100 {
        now += PACKET;
        for seat in class.seats.clone() {
            class.loudest.hear(seat, None, now);
        }
    }
    assert_eq!(class.heard(), [0, 1, 2]);
    class.now = now;
    for _ in 0..30 {
        class.now += PACKET;
        for seat in class.seats.clone().into_iter().take(3) {
            class.loudest.hear(seat, None, class.now);
        }
        class.loudest.hear(class.seats[3], Some(SPEECH), class.now);
    }
    assert!(class.heard().contains(&3));
}

#[test]
fn a_seat_that_was_left_is_given_to_the_next() {
    let mut class = Class::of(3);
    class.speaks(1, SECOND);
    class.loudest.leave(class.seats[1], class.now);
    assert_eq!(holders(&class), [None; PLACES]);
    let next = class.loudest.enter();
    assert_eq!(next, class.seats[1]);
    assert_eq!(class.loudest.place_of(next), None);
}

/// What a microphone does for a while.
#[derive(Debug, Clone)]
struct Stretch {
    who: usize,
    level: u8,
    packets: usize,
}

fn stretches(microphones: usize) -> impl Strategy<Value = Vec<Stretch>> {
    let stretch = (0..microphones, any::<u8>(), 1usize..60)
        .prop_map(|(who, level, packets)| Stretch { who, level, packets });
    prop::collection::vec(stretch, 1..80)
}

/// Lets a class do all that: each microphone stays as it was last told to be.
fn run(microphones: usize, stretches: &[Stretch]) -> Class {
    let mut class = Class::of(microphones);
    let mut levels = vec![ROOM; microphones];
    for Stretch { who, level, packets } in stretches {
        levels[*who] = *level;
        class.pass(PACKET * *packets as u32, |w| levels[w]);
        let heard = class.heard();
        let holders = holders(&class);
        assert!(heard.len() <= PLACES);
        assert_eq!(heard.len(), holders.iter().flatten().count(), "one place each");
        assert!(heard.iter().all(|w| holders.contains(&Some(class.seats[*w]))));
    }
    class
}

proptest! {
    /// Whatever the levels do, nobody's place is taken away within [`TENURE`].
    #[test]
    fn places_never_flap(stretches in stretches(8)) {
        let class = run(8, &stretches);
        for place in 0..PLACES {
            let times: Vec<_> = class.taken.iter().filter(|t| t.2.place == place).map(|t| t.0).collect();
            prop_assert!(times.windows(2).all(|w| w[1] - w[0] >= TENURE));
        }
    }

    /// The same levels at the same times, the same places.
    #[test]
    fn it_is_decided_by_what_is_heard_alone(stretches in stretches(6)) {
        let [a, b] = [run(6, &stretches), run(6, &stretches)];
        let changes = |c: &Class| c.taken.iter().map(|(at, who, t)| (c.now - *at, *who, *t)).collect::<Vec<_>>();
        prop_assert_eq!(changes(&a), changes(&b));
    }

    /// Whatever happened before: who speaks while the others are silent is heard as soon as
    /// one of them has had its turn, and at once when a place was free.
    #[test]
    fn everybody_who_speaks_alone_is_heard(stretches in stretches(8), who in 0usize..8) {
        let mut class = run(8, &stretches);
        let free = holders(&class).contains(&None);
        let spoken = if free { PACKET * 2 } else { TENURE + PACKET * 2 };
        // Louder than any noise that was learned.
        class.pass(spoken, |w| if w == who { LOUD } else { ROOM });
        prop_assert!(class.heard().contains(&who));
    }

    /// Rooms of any noise, as long as it is steady: after a while none of them is heard.
    #[test]
    fn steady_noise_is_silence(noise in prop::collection::vec(42u8..=127, 1..12)) {
        let mut class = Class::of(noise.len());
        class.pass(15 * SECOND, |w| noise[w]);
        prop_assert_eq!(class.heard(), NOBODY);
    }

    /// Three who talk to each other are not interrupted by noises that come and go elsewhere,
    /// as long as none is louder than they are.
    #[test]
    fn noises_in_turn_interrupt_nobody(burst in 1usize..50, level in 25u8..60) {
        let mut class = Class::of(10);
        class.pass(SECOND, |w| if w < PLACES { SPEECH } else { ROOM });
        for turn in 0..60 {
            let noisy = PLACES + turn % 7;
            class.pass(PACKET * burst as u32, |w| match w {
                _ if w < PLACES => SPEECH,
                _ if w == noisy => 0x80 | level,
                _ => ROOM,
            });
        }
        prop_assert_eq!(class.taken.len(), PLACES);
    }
}
