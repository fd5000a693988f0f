//! The figures a link is described with, as they are written: `4mbit`, `50ms`, `5%`, `64kB`.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

/// How a kind of figure is written, for whoever wrote it otherwise.
trait Form: FromStr<Err = UnitError> {
    const FORM: &'static str;
}

/// The figure can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {form}")]
pub struct UnitError {
    text: String,
    form: &'static str,
}

/// What a line carries at most, bit/s of IP packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(Option<u64>);

impl Rate {
    pub const UNLIMITED: Self = Self(None);

    /// At least 1 bit/s: a line that carries nothing is an outage.
    #[must_use]
    pub const fn bits_per_second(bits: u64) -> Self {
        Self(Some(if bits == 0 { 1 } else { bits }))
    }

    /// bit/s; `None` without a limit.
    #[must_use]
    pub const fn limit(self) -> Option<u64> {
        self.0
    }
}

/// How much may wait in front of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// As long as this at the rate of the moment.
    Time(Duration),
    /// Bytes of IP packets.
    Bytes(u64),
}

/// A share between 0 and 1, written in per cent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share(pub f64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub Duration);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes(pub u64);

/// The number at the front of a figure and the unit after it.
fn split<T: Form>(text: &str) -> Result<(f64, &str), UnitError> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| wrong::<T>(text))?;
    Ok((number, unit.trim_start()))
}

fn wrong<T: Form>(text: &str) -> UnitError {
    UnitError { text: text.to_owned(), form: T::FORM }
}

/// Rounds a figure that is not negative to whole units.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(figure: f64) -> u64 {
    figure.round() as u64
}

impl Form for Rate {
    const FORM: &'static str = "a rate such as 800kbit, 4mbit, 1gbit or unlimited";
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "unlimited" {
            return Ok(Self::UNLIMITED);
        }
        let (number, unit) = split::<Self>(text)?;
        let factor = match unit {
            "bit" => 1.0,
            "kbit" => 1e3,
            "mbit" => 1e6,
            "gbit" => 1e9,
            _ => return Err(wrong::<Self>(text)),
        };
        match whole(number * factor) {
            0 => Err(wrong::<Self>(text)),
            bits => Ok(Self(Some(bits))),
        }
    }
}

impl Form for Span {
    const FORM: &'static str = "a time such as 500us, 50ms, 1.5s or 2min";
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split::<Self>(text)?;
        let nanoseconds = match unit {
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "min" => 60e9,
            _ => return Err(wrong::<Self>(text)),
        };
        Ok(Self(Duration::from_nanos(whole(number * nanoseconds))))
    }
}

impl Form for Bytes {
    const FORM: &'static str = "a size such as 1500B, 64kB or 1MB";
}

impl FromStr for Bytes {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split::<Self>(text)?;
        let factor = match unit {
            "B" => 1.0,
            "kB" => 1e3,
            "MB" => 1e6,
            _ => return Err(wrong::<Self>(text)),
        };
        Ok(Self(whole(number * factor)))
    }
}

impl Form for Queue {
    const FORM: &'static str = "a queue such as 200ms or 64kB";
}

impl FromStr for Queue {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if let Ok(Span(time)) = text.parse() {
            return Ok(Self::Time(time));
        }
        match text.parse() {
            Ok(Bytes(bytes)) => Ok(Self::Bytes(bytes)),
            Err(_) => Err(wrong::<Self>(text)),
        }
    }
}

impl Form for Share {
    const FORM: &'static str = "a share such as 0.5% or 5%";
}

impl FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match split::<Self>(text)? {
            (number, "%") if number <= 100.0 => Ok(Self(number / 100.0)),
            _ => Err(wrong::<Self>(text)),
        }
    }
}

/// Reads a figure from a string and says how one is written when it is something else.
struct Written<T>(PhantomData<T>);

impl<T: Form> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(T::FORM)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! written {
    ($($figure:ty),*) => {$(
        impl<'de> Deserialize<'de> for $figure {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_str(Written(PhantomData))
            }
        }
    )*};
}

written!(Rate, Queue, Share, Span, Bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_with_their_units() {
        assert_eq!("4mbit".parse(), Ok(Rate::bits_per_second(4_000_000)));
        assert_eq!("0.8mbit".parse(), Ok(Rate::bits_per_second(800_000)));
        assert_eq!("unlimited".parse(), Ok(Rate::UNLIMITED));
        assert_eq!("1.5s".parse(), Ok(Span(Duration::from_millis(1500))));
        assert_eq!("500us".parse(), Ok(Span(Duration::from_micros(500))));
        assert_eq!("2min".parse(), Ok(Span(Duration::from_secs(120))));
        assert_eq!("200ms".parse(), Ok(Queue::Time(Duration::from_millis(200))));
        assert_eq!("64kB".parse(), Ok(Queue::Bytes(64_000)));
        assert_eq!("5%".parse(), Ok(Share(0.05)));
    }

    #[test]
    fn what_is_no_figure_is_refused_with_how_one_is_written() {
        let said = |error: UnitError| error.to_string();
        for text in ["", "4", "4mb", "0kbit", "-1mbit", "1.2.3mbit"] {
            assert!(said(text.parse::<Rate>().unwrap_err()).contains("800kbit"), "{text}");
        }
        for text in ["50", "ms", "-5ms", "5 hours"] {
            assert!(said(text.parse::<Span>().unwrap_err()).contains("50ms"), "{text}");
        }
        for text in ["0.05", "101%", "-1%"] {
            assert!(said(text.parse::<Share>().unwrap_err()).contains("5%"), "{text}");
        }
        assert!(said("64".parse::<Queue>().unwrap_err()).contains("64kB"));
    }
}
