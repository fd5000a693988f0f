//! How a fresh machine becomes a school's node: it makes a key, the campus signs for it, and
//! eight symbols that one person told another stand for the trust between them.
//!
//! | part | |
//! |---|---|
//! | [`Code`] | the eight symbols: three that name it, five that nobody may guess |
//! | [`Book`] | the codes a campus has given out, as files beside its CA |
//! | [`Office`] | the campus's counter: checks codes, issues, counts |
//! | [`apply`] | the machine's side |
//!
//! **Who trusts whom.** The two ends know nothing of each other but the code, so TLS under
//! this exchange proves nothing. Both run SPAKE2 with the code as password and bind its key
//! to the TLS session (RFC 9266's exporter), then prove it to each other over everything
//! said: the request one way; the CA's certificate, the node's and the settings the other. Whoever sits
//! between them has to guess the code in one attempt; listening teaches him nothing to try
//! guesses on. The machine proves first, so an attempt that is broken off has tested nothing,
//! and one that is wrong counts against the code and the address it came from.

mod apply;
mod attempts;
mod book;
mod code;
mod exchange;
mod office;
mod refused;
mod words;

pub use apply::{Applied, ApplyError, apply};
pub use book::{Book, BookError, Place};
pub use code::{BadCode, Code};
pub(crate) use office::not_here;
pub use office::{Office, OfficeStats};
pub use refused::Refused;
