//! Behaviour records as xAPI 1.0.3 statements, in the terms of the virtual classroom profile.
//! A pure function of the record and the profile file: the same record gives the same bytes.
//!
//! An instant is one statement with the record's id. An interval is two, one for its begin
//! with the record's id and one for its end, whose id is computed from that.

use crate::codes::{Code, Exported, Profile, XapiWords};
use crate::record::{ActorRole, Behaviour, SiteKind, Timestamp, computed_id};
use cloudschool_protocol::lesson::LessonInfo;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The profile statements follow, named in every statement's context.
const VIRTUAL_CLASSROOM: &str = "https://w3id.org/xapi/virtual-classroom";
const PROFILE_TYPE: &str = "http://adlnet.gov/expapi/activities/profile";
const CLASSROOM_TYPE: &str =
    "https://w3id.org/xapi/virtual-classroom/activity-types/virtual-classroom";
const SESSION_ID: &str = "https://w3id.org/xapi/cmi5/context/extensions/sessionid";
const EMOJI: &str = "https://w3id.org/xapi/virtual-classroom/extensions/emoji";
const PLANNED: &str = "http://id.tincanapi.com/extension/planned-duration";
/// What extensions of ours begin with.
const OURS: &str = "urn:cloudschool:xapi:";
const VERSION: &str = "1.0.3";
const PLATFORM: &str = "Cloudschool";

/// Writes the statements of one lesson.
pub struct Statements<'a> {
    pub profile: &'a Profile,
    pub lesson: &'a LessonInfo,
    /// What activity ids and accounts are under: the address others reach analytics by.
    pub base: &'a str,
}

impl Statements<'_> {
    /// The statements of `record`: one, or two for an interval.
    #[must_use]
    pub fn of(&self, exported: &Exported) -> Vec<Value> {
        let record = &exported.record.behaviour;
        let Some((line, words)) = self.profile.line(record.code) else { return Vec::new() };
        let verb = |id: &str| json!({"id": id, "display": {"zh-CN": line.zh, "en": line.en}});
        let statement = |id: Uuid, verb: Value, at: Timestamp, result: Option<Value>, of| {
            let mut s = json!({
                "id": id,
                "version": VERSION,
                "actor": self.actor(record),
                "verb": verb,
                "object": self.object(record, words),
                "context": self.context(exported, of),
                "timestamp": at,
            });
            if let Some(result) = result {
                s["result"] = result;
            }
            s
        };
        match (record.end, &words.end) {
            (Some(end), Some(end_verb)) => {
                let end_id = computed_id(end.0, &["xapi-end", &record.id.to_string()]);
                let lasted = json!({"duration": iso_duration(record.lasted_ms())});
                vec![
                    statement(record.id, verb(&words.begin), record.start, None, None),
                    statement(end_id, verb(end_verb), end, Some(lasted), Some(record.id)),
                ]
            }
            _ => {
                let result = instant_result(record, words);
                let begin = verb(&words.begin);
                vec![statement(record.id, begin, record.start, result, record.cause)]
            }
        }
    }

    fn actor(&self, record: &Behaviour) -> Value {
        let kind = match record.actor.role {
            ActorRole::C | ActorRole::G => "Group",
            ActorRole::T | ActorRole::A | ActorRole::S | ActorRole::D => "Agent",
        };
        json!({
            "objectType": kind,
            "account": {"homePage": format!("{}/xapi/accounts", self.base), "name": record.actor.id},
        })
    }

    fn activity(&self, id: Uuid) -> String {
        format!("{}/xapi/activities/{id}", self.base)
    }

    /// The lesson's run as an activity.
    fn classroom(&self, session: Uuid) -> Value {
        json!({
            "objectType": "Activity",
            "id": self.activity(session),
            "definition": {"type": CLASSROOM_TYPE, "name": {"zh-CN": self.lesson.title}},
        })
    }

    fn object(&self, record: &Behaviour, words: &XapiWords) -> Value {
        if words.activity == CLASSROOM_TYPE {
            return self.classroom(record.session_id);
        }
        // Someone's microphone or camera, the same in all statements about it, or what is shown.
        let owner = record.object.as_ref().map_or(&record.actor.id, |o| &o.id);
        let session = record.session_id.to_string();
        let parts = ["xapi-object", &words.activity, &session, owner];
        let id = computed_id(id_time(record.session_id), &parts);
        json!({
            "objectType": "Activity",
            "id": self.activity(id),
            "definition": {"type": words.activity},
        })
    }

    fn context(&self, exported: &Exported, refers_to: Option<Uuid>) -> Value {
        let record = &exported.record.behaviour;
        let side = match record.site_kind {
            SiteKind::Host => "host",
            SiteKind::Remote => "remote",
        };
        let mut extensions = Map::new();
        extensions.insert(SESSION_ID.into(), json!(record.session_id));
        let mut ours = |name: &str, value: Value| {
            extensions.insert(format!("{OURS}{name}"), value);
        };
        ours("code", json!(record.code));
        ours("source", json!(record.source));
        ours("school", json!(record.school_id));
        ours("side", json!(side));
        if let Some(offset) = record.offset_ms {
            ours("offset", json!(offset));
        }
        if let Some(official) = &exported.official_code {
            ours("official-code", json!(official));
        }
        let planned = self.lesson.planned_minutes.filter(|_| record.code == Code::L01);
        if let Some(minutes) = planned {
            extensions.insert(PLANNED.into(), json!(format!("PT{minutes}M")));
        }
        let mut activities = json!({
            "category": [{
                "objectType": "Activity",
                "id": VIRTUAL_CLASSROOM,
                "definition": {"type": PROFILE_TYPE},
            }],
        });
        let about_classroom =
            self.profile.line(record.code).is_some_and(|(_, w)| w.activity == CLASSROOM_TYPE);
        if !about_classroom {
            activities["parent"] = json!([self.classroom(record.session_id)]);
        }
        let mut context = json!({
            "registration": record.session_id,
            "platform": PLATFORM,
            "contextActivities": activities,
            "extensions": extensions,
        });
        if let Some(id) = refers_to {
            context["statement"] = json!({"objectType": "StatementRef", "id": id});
        }
        context
    }
}

fn instant_result(record: &Behaviour, words: &XapiWords) -> Option<Value> {
    let mut result = Map::new();
    let outcome = record.result.clone().unwrap_or_default();
    if let Some(ms) = outcome.duration_ms {
        result.insert("duration".into(), json!(iso_duration(ms)));
    }
    if let Some(response) = outcome.response {
        result.insert("response".into(), json!(response));
    }
    if let Some(correct) = outcome.correct {
        result.insert("success".into(), json!(correct));
    }
    if let Some(score) = outcome.score {
        result.insert("score".into(), json!({"scaled": score}));
    }
    if let Some(emoji) = &words.emoji {
        result.insert("extensions".into(), json!({ EMOJI: emoji }));
    }
    (!result.is_empty()).then_some(Value::Object(result))
}

/// The time in a version 7 id, 0 in others: it only keeps computed ids in order.
fn id_time(id: Uuid) -> u64 {
    let Some(time) = id.get_timestamp() else { return 0 };
    let (seconds, nanos) = time.to_unix();
    seconds.saturating_mul(1000).saturating_add(u64::from(nanos / 1_000_000))
}

/// ISO 8601, to the hundredth of a second that xAPI asks learning record stores to keep.
fn iso_duration(ms: u64) -> String {
    let centis = (ms + 5) / 10;
    format!("PT{}.{:02}S", centis / 100, centis % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::script::*;
    use crate::record::Record;
    use crate::speech::Utterance;
    use std::collections::BTreeSet;

    fn statements() -> Vec<Value> {
        let profile = Profile::load(None).unwrap();
        let lesson_info = info();
        let writer =
            Statements { profile: &profile, lesson: &lesson_info, base: "https://a.example" };
        let mut d = derivation();
        let mut records: Vec<_> = lesson().iter().flat_map(|e| d.apply(e).unwrap()).collect();
        let said = Utterance { start_ms: START + 6000, end_ms: START + 8500, voiced_ms: 2000 };
        records.extend(d.speech(&id("li"), &said, None, 0.8));
        let numbered = (1u64..).zip(records);
        numbered
            .flat_map(|(seq, behaviour)| writer.of(&profile.exported(Record { behaviour, seq })))
            .collect()
    }

    fn is_iri(value: &Value) -> bool {
        let text = value.as_str().unwrap();
        let (scheme, rest) = text.split_once(':').unwrap();
        scheme.bytes().all(|b| b.is_ascii_alphanumeric()) && !rest.is_empty() && !text.contains(' ')
    }

    fn is_uuid(value: &Value) -> bool {
        Uuid::parse_str(value.as_str().unwrap()).is_ok()
    }

    /// The rules of the xAPI specification (Data, §2.4) for what we write, and no property
    /// it doesn't know.
    fn check(s: &Value) {
        let keys = |v: &Value, allowed: &[&str]| {
            for key in v.as_object().unwrap().keys() {
                assert!(allowed.contains(&key.as_str()), "{key} in {v}");
            }
        };
        let activity = |a: &Value| {
            keys(a, &["objectType", "id", "definition"]);
            assert_eq!(a["objectType"], "Activity");
            assert!(is_iri(&a["id"]));
            keys(&a["definition"], &["type", "name"]);
            assert!(is_iri(&a["definition"]["type"]));
        };
        keys(s, &["id", "version", "actor", "verb", "object", "context", "timestamp", "result"]);
        assert!(is_uuid(&s["id"]));
        assert_eq!(s["version"], "1.0.3");
        keys(&s["actor"], &["objectType", "account"]);
        assert!(["Agent", "Group"].contains(&s["actor"]["objectType"].as_str().unwrap()));
        keys(&s["actor"]["account"], &["homePage", "name"]);
        assert!(is_iri(&s["actor"]["account"]["homePage"]));
        keys(&s["verb"], &["id", "display"]);
        assert!(is_iri(&s["verb"]["id"]));
        activity(&s["object"]);
        let context = &s["context"];
        keys(
            context,
            &["registration", "platform", "contextActivities", "extensions", "statement"],
        );
        assert!(is_uuid(&context["registration"]));
        for list in context["contextActivities"].as_object().unwrap().values() {
            list.as_array().unwrap().iter().for_each(activity);
        }
        for key in context["extensions"].as_object().unwrap().keys() {
            assert!(is_iri(&json!(key)));
        }
        if let Some(reference) = context.get("statement") {
            assert_eq!(reference["objectType"], "StatementRef");
            assert!(is_uuid(&reference["id"]));
        }
        serde_json::from_value::<Timestamp>(s["timestamp"].clone()).unwrap();
        if let Some(result) = s.get("result") {
            keys(result, &["duration", "extensions", "response", "success", "score"]);
            if let Some(duration) = result.get("duration") {
                let d = duration.as_str().unwrap();
                let d = d.strip_prefix("PT").unwrap().strip_suffix('S').unwrap();
                d.parse::<f64>().unwrap();
            }
        }
        assert!(!s.to_string().contains("null"), "xAPI allows no null: {s}");
    }

    /// The rules of the virtual classroom profile for every statement.
    fn check_profile(s: &Value, session: &Value) {
        let context = &s["context"];
        assert_eq!(context["contextActivities"]["category"][0]["id"], VIRTUAL_CLASSROOM);
        assert_eq!(context["contextActivities"]["category"][0]["definition"]["type"], PROFILE_TYPE);
        assert_eq!(&context["registration"], session);
        assert_eq!(&context["extensions"][SESSION_ID], session);
        let ends_in_uuid = |id: &Value| {
            let id = id.as_str().unwrap();
            assert!(Uuid::parse_str(&id[id.len() - 36..]).is_ok(), "{id}");
        };
        ends_in_uuid(&s["object"]["id"]);
        if s["object"]["definition"]["type"] != CLASSROOM_TYPE {
            let parent = &context["contextActivities"]["parent"][0];
            assert_eq!(parent["definition"]["type"], CLASSROOM_TYPE);
            ends_in_uuid(&parent["id"]);
        }
    }

    #[test]
    fn every_statement_is_whole_by_the_specification_and_by_the_profile() {
        let all = statements();
        let session = all[0]["context"]["registration"].clone();
        for s in &all {
            check(s);
            check_profile(s, &session);
        }
        let ids: BTreeSet<_> = all.iter().map(|s| s["id"].to_string()).collect();
        assert_eq!(ids.len(), all.len(), "no id twice");
        assert_eq!(statements(), all, "the same records, the same statements");
    }

    #[test]
    fn the_verbs_a_virtual_classroom_must_have_are_there() {
        let all = statements();
        let of = |verb: &str| all.iter().filter(|s| s["verb"]["id"] == verb).collect::<Vec<_>>();
        for verb in ["initialized", "terminated"] {
            assert_eq!(of(&format!("http://adlnet.gov/expapi/verbs/{verb}")).len(), 1);
        }
        assert_eq!(of("http://activitystrea.ms/join").len(), 3);
        assert_eq!(of("http://activitystrea.ms/leave").len(), 2);
        let start = of("http://adlnet.gov/expapi/verbs/initialized")[0];
        assert_eq!(start["context"]["extensions"][PLANNED], "PT40M");
        let end = of("http://adlnet.gov/expapi/verbs/terminated")[0];
        assert_eq!(end["result"]["duration"], "PT13.00S");
        let hand = of("https://w3id.org/xapi/virtual-classroom/verbs/reacted")[0];
        assert_eq!(hand["result"]["extensions"][EMOJI], "U+1F590");
    }

    #[test]
    fn an_interval_is_a_begin_and_an_end_of_the_same_thing() {
        let all = statements();
        let [begin, end] = &all[all.len() - 2..] else { panic!("not two") };
        assert_eq!(begin["verb"]["id"], "http://activitystrea.ms/start");
        assert_eq!(end["verb"]["id"], "https://w3id.org/xapi/virtual-classroom/verbs/stopped");
        assert_eq!(begin["object"], end["object"]);
        assert_eq!(end["context"]["statement"]["id"], begin["id"]);
        assert_eq!(end["result"]["duration"], "PT2.50S");
        let source = &begin["context"]["extensions"]["urn:cloudschool:xapi:source"];
        assert_eq!(source, &json!({"kind": "media", "confidence": 0.8}));
    }

    #[test]
    fn a_class_is_a_group_and_a_call_is_of_the_microphone_called() {
        let all = statements();
        assert!(all.iter().any(|s| s["actor"]["objectType"] == "Group"));
        let micros: BTreeSet<_> = all
            .iter()
            .filter(|s| s["object"]["definition"]["type"].as_str().unwrap().ends_with("/micro"))
            .map(|s| s["object"]["id"].to_string())
            .collect();
        assert_eq!(micros.len(), 3, "the teacher's own, and of the two called");
    }
}
