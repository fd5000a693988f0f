//! `[[appliances]]`: plain RTP-over-QUIC peers that take part in a lesson.

use cloudschool_protocol::id::{LessonId, MemberId, NodeId, SchoolId};
use cloudschool_protocol::media::{Codec, Source, TrackId};
use cloudschool_protocol::member::Role;
use cloudschool_relay::Fingerprint;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::str::FromStr;

/// One appliance. What its flow ids mean is told here, for it says nothing itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplianceSection {
    /// The node its certificate names, and the member it is in the lesson.
    pub name: NodeId,
    /// The lesson it takes part in.
    pub lesson: LessonId,
    /// What people read; by default its name.
    #[serde(default)]
    pub title: Option<String>,
    /// As what it takes part.
    #[serde(default = "classroom")]
    pub role: Role,
    /// Application protocol it connects with.
    #[serde(default = "roq")]
    pub alpn: String,
    /// What it publishes, by flow id: `{ 1 = "camera/h264", 2 = "microphone/opus" }`.
    #[serde(default, deserialize_with = "flows")]
    pub publishes: BTreeMap<u64, Flow>,
    /// What it is sent, by flow id: `{ 1 = "li/camera/h264", 2 = "li/microphone/opus" }`.
    #[serde(default, deserialize_with = "flows")]
    pub subscribes: BTreeMap<u64, Watched>,
    /// SHA-256 of its certificate, where that is of another CA than the campus's or of none.
    #[serde(default, deserialize_with = "fingerprint")]
    pub fingerprint: Option<Fingerprint>,
    /// With a fingerprint: the school it stands in, which must be invited; by default the
    /// campus.
    #[serde(default)]
    pub school: Option<SchoolId>,
}

/// What a flow id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    pub source: Source,
    pub codec: Codec,
}

/// A track it is sent, and the codec it expects it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    pub track: TrackId,
    pub codec: Codec,
}

impl ApplianceSection {
    /// The track a flow is of.
    ///
    /// # Errors
    /// When the appliance's name is no member's.
    pub fn track(&self, flow: &Flow) -> Result<TrackId, cloudschool_protocol::id::InvalidId> {
        Ok(TrackId::new(self.member()?, flow.source))
    }

    /// The member it is.
    ///
    /// # Errors
    /// When its name is no member's.
    pub fn member(&self) -> Result<MemberId, cloudschool_protocol::id::InvalidId> {
        MemberId::new(self.name.as_str())
    }
}

fn classroom() -> Role {
    Role::Classroom
}

fn roq() -> String {
    "roq-16".into()
}

fn fingerprint<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Fingerprint>, D::Error> {
    String::deserialize(from)?.parse().map(Some).map_err(D::Error::custom)
}

fn flows<'de, D, F>(from: D) -> Result<BTreeMap<u64, F>, D::Error>
where
    D: Deserializer<'de>,
    F: FromStr<Err = String>,
{
    // TOML's keys are strings, whatever they look like.
    let written = BTreeMap::<String, String>::deserialize(from)?;
    let flow = |(id, what): (String, String)| {
        let id: u64 = id.parse().map_err(|_| format!("{id:?} is no flow id"))?;
        if id == 0 {
            return Err("flow id 0 is not used: begin with 1".to_owned());
        }
        if id > MAX_FLOW {
            return Err(format!("flow id {id} is more than QUIC can say"));
        }
        what.parse().map(|flow| (id, flow))
    };
    written.into_iter().map(flow).collect::<Result<_, _>>().map_err(D::Error::custom)
}

/// A QUIC varint has 62 bits (RFC 9000 §16).
const MAX_FLOW: u64 = (1 << 62) - 1;

impl FromStr for Watched {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not member/source/codec, as in li/camera/h264");
        let (member, flow) = text.split_once('/').ok_or_else(wrong)?;
        let Flow { source, codec } = flow.parse().map_err(|_| wrong())?;
        let member = MemberId::new(member).map_err(|_| wrong())?;
        Ok(Self { track: TrackId::new(member, source), codec })
    }
}

impl FromStr for Flow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not source/codec, as in camera/h264");
        let (source, codec) = text.split_once('/').ok_or_else(wrong)?;
        let word = |text: &str| serde_json::Value::String(text.to_owned());
        let source: Source = serde_json::from_value(word(source)).map_err(|_| wrong())?;
        let codec: Codec = serde_json::from_value(word(codec)).map_err(|_| wrong())?;
        if source.kind() != codec.kind() {
            return Err(format!("{text:?}: that source is not of that codec's kind"));
        }
        Ok(Self { source, codec })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_appliance_is_read_with_its_flows() {
        let text = r#"
            name = "hall"
            lesson = "math"
            publishes = { 1 = "camera/h264", 2 = "microphone/opus" }
        "#;
        let appliance: ApplianceSection = toml::from_str(text).unwrap();
        assert_eq!((appliance.role, appliance.alpn.as_str()), (Role::Classroom, "roq-16"));
        let camera = appliance.publishes.get(&1).unwrap();
        assert_eq!(appliance.track(camera).unwrap().to_string(), "hall/camera");
        assert_eq!(appliance.publishes.get(&2).unwrap().codec, Codec::Opus);
    }

    #[test]
    fn what_an_appliance_is_sent_and_known_by_is_read() {
        let fingerprint = "ab".repeat(32);
        let text = format!(
            r#"
            name = "screen"
            lesson = "math"
            subscribes = {{ 1 = "li/camera/h264", 2 = "li/microphone/opus" }}
            fingerprint = "{fingerprint}"
            school = "school-01"
        "#
        );
        let appliance: ApplianceSection = toml::from_str(&text).unwrap();
        assert!(appliance.publishes.is_empty());
        let camera = appliance.subscribes.get(&1).unwrap();
        assert_eq!((camera.track.to_string().as_str(), camera.codec), ("li/camera", Codec::H264));
        assert_eq!(appliance.fingerprint.unwrap().to_string(), fingerprint);
        for flow in [
            r#"1 = "camera/h264""#,
            r#"1 = "li/camera""#,
            r#"1 = "li/camera/opus""#,
            r#"4611686018427387904 = "li/camera/h264""#,
        ] {
            let text = format!("name = \"hall\"\nlesson = \"math\"\nsubscribes = {{ {flow} }}");
            assert!(toml::from_str::<ApplianceSection>(&text).is_err(), "{flow}");
        }
    }

    #[test]
    fn what_no_flow_can_be_is_refused() {
        for flow in [
            r#"1 = "camera""#,
            r#"1 = "camera/opus""#,
            r#"0 = "camera/h264""#,
            r#"a = "camera/h264""#,
        ] {
            let text = format!("name = \"hall\"\nlesson = \"math\"\npublishes = {{ {flow} }}");
            assert!(toml::from_str::<ApplianceSection>(&text).is_err(), "{flow}");
        }
    }
}
