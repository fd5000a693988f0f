//! Proof that both ends have the same code, bound to the TLS session and to what is said.
//!
//! SPAKE2 over edwards25519 gives both ends the same key when, and only when, both had the
//! same password. The key is mixed with TLS exporter bytes (RFC 5705, RFC 9266), so that it
//! is worth nothing on another connection, and split by direction.

use super::code::Password;
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key, Tag};
use spake2::{Ed25519Group, Identity, Spake2};

const MACHINE: &[u8] = b"cloudschool machine";
const CAMPUS: &[u8] = b"cloudschool campus";

/// One end of an exchange whose other half is still to come.
pub struct Half {
    state: Spake2<Ed25519Group>,
    /// To be sent to the other end.
    pub share: Vec<u8>,
}

/// Keys of both directions.
pub struct Keys {
    machine: Key,
    campus: Key,
}

/// The other end's half is not one.
#[derive(Debug, thiserror::Error)]
#[error("the other end's half of the key exchange can't be used")]
pub struct BadShare;

impl Half {
    pub fn machine(password: &Password) -> Self {
        let password = spake2::Password::new(password.0);
        let (state, share) =
            Spake2::start_a(&password, &Identity::new(MACHINE), &Identity::new(CAMPUS));
        Self { state, share }
    }

    pub fn campus(password: &Password) -> Self {
        let password = spake2::Password::new(password.0);
        let (state, share) =
            Spake2::start_b(&password, &Identity::new(MACHINE), &Identity::new(CAMPUS));
        Self { state, share }
    }

    pub fn finish(self, theirs: &[u8], session: &Session) -> Result<Keys, BadShare> {
        let secret = self.state.finish(theirs).map_err(|_| BadShare)?;
        let bound = hmac::sign(&Key::new(HMAC_SHA256, &secret), &session.0);
        let bound = Key::new(HMAC_SHA256, bound.as_ref());
        let direction = |who| Key::new(HMAC_SHA256, hmac::sign(&bound, who).as_ref());
        Ok(Keys { machine: direction(MACHINE), campus: direction(CAMPUS) })
    }
}

/// What is the same at both ends of one TLS session and nowhere else.
pub struct Session(pub [u8; 32]);

impl Session {
    pub fn of(connection: &quinn::Connection) -> Option<Self> {
        let mut bytes = [0; 32];
        connection
            .export_keying_material(&mut bytes, b"EXPORTER-Channel-Binding", b"")
            .ok()
            .map(|()| Self(bytes))
    }
}

impl Keys {
    pub fn machine_proof(&self, said: &[&[u8]]) -> Vec<u8> {
        proof(&self.machine, said).as_ref().to_vec()
    }

    pub fn machine_proves(&self, said: &[&[u8]], shown: &[u8]) -> bool {
        holds(&self.machine, said, shown)
    }

    pub fn campus_proof(&self, said: &[&[u8]]) -> Vec<u8> {
        proof(&self.campus, said).as_ref().to_vec()
    }

    pub fn campus_proves(&self, said: &[&[u8]], shown: &[u8]) -> bool {
        holds(&self.campus, said, shown)
    }
}

/// Parts with their lengths before them: no two lists are the same bytes.
fn joined(said: &[&[u8]]) -> Vec<u8> {
    let with_length = |part: &&[u8]| {
        let length = (part.len() as u64).to_be_bytes();
        length.into_iter().chain(part.iter().copied()).collect::<Vec<u8>>()
    };
    said.iter().flat_map(with_length).collect()
}

fn proof(key: &Key, said: &[&[u8]]) -> Tag {
    hmac::sign(key, &joined(said))
}

fn holds(key: &Key, said: &[&[u8]], shown: &[u8]) -> bool {
    hmac::verify(key, &joined(said), shown).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(machine: u8, campus: u8, sessions: [u8; 2]) -> (Keys, Keys) {
        let machine = Half::machine(&Password([machine; 32]));
        let campus = Half::campus(&Password([campus; 32]));
        let (to_campus, to_machine) = (machine.share.clone(), campus.share.clone());
        (
            machine.finish(&to_machine, &Session([sessions[0]; 32])).unwrap(),
            campus.finish(&to_campus, &Session([sessions[1]; 32])).unwrap(),
        )
    }

    #[test]
    fn with_the_same_code_each_end_believes_the_other() {
        let (machine, campus) = keys(1, 1, [9, 9]);
        let said: &[&[u8]] = &[b"csr"];
        assert!(campus.machine_proves(said, &machine.machine_proof(said)));
        assert!(machine.campus_proves(said, &campus.campus_proof(said)));
        assert!(!machine.campus_proves(said, &campus.machine_proof(said)), "it is sent back");
        assert!(!campus.machine_proves(&[b"c", b"sr"], &machine.machine_proof(said)));
    }

    #[test]
    fn another_code_or_another_session_proves_nothing() {
        for (campus, sessions) in [(2, [9, 9]), (1, [9, 8])] {
            let (machine, campus) = keys(1, campus, sessions);
            let said: &[&[u8]] = &[b"csr"];
            assert!(!campus.machine_proves(said, &machine.machine_proof(said)));
            assert!(!machine.campus_proves(said, &campus.campus_proof(said)));
        }
    }

    #[test]
    fn a_half_that_is_none_is_refused() {
        let own = Half::machine(&Password([1; 32])).share;
        for bad in [&b""[..], b"B", &[0xff; 33], &[0x42; 34], &own] {
            let half = Half::machine(&Password([1; 32]));
            assert!(half.finish(bad, &Session([0; 32])).is_err(), "{bad:?}");
        }
    }
}
