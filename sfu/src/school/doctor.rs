//! `sfu doctor`: what a lesson will look like over this school's line, in words.
//!
//! The rungs are those the allocator chooses among while a lesson runs; here they follow from
//! what was measured on an empty line.

use cloudschool_protocol::refusal::Lang;
use cloudschool_protocol::socket::Rung;
use cloudschool_relay::measure::{Rate, Report, Through};
use serde::Serialize;

/// What a line must take for each rung, in bit/s, headers and repeated sound included: a
/// teacher's picture of 2 Mbit/s, one of 500 kbit/s, a new slide every three seconds, a voice.
const FULL: u64 = 2_600_000;
const LOW: u64 = 750_000;
const SLIDES: u64 = 220_000;
const SOUND: u64 = 60_000;

/// A line may not be filled: others share it, and rates vary.
const SPARE: f64 = 0.85;

/// Beyond this round trip people interrupt each other.
const SLOW_MS: f64 = 400.0;
/// Beyond this loss pictures freeze now and then, whatever is done.
const LOSSY: f64 = 0.08;
/// Certificates are checked against the clock.
const CLOCK_MS: i64 = 5 * 60 * 1000;

/// What is said of a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    #[serde(flatten)]
    pub report: Report,
    /// What the school will see and hear of the teacher, if anything.
    pub from_campus: Option<Rung>,
    /// What the campus will see and hear of the class.
    pub to_campus: Option<Rung>,
    /// Whether a lesson can be held at all.
    pub usable: bool,
    /// Sentences for people.
    pub says: Vec<String>,
}

/// The rung a rate is good for, if for any.
#[must_use]
pub fn expected(rate: Option<Rate>) -> Option<Rung> {
    let rate = rate?;
    // What is lost is sent again.
    let usable = rate.bits_per_second as f64 * SPARE * (1.0 - rate.loss.clamp(0.0, 1.0));
    match usable as u64 {
        FULL.. => Some(Rung::Full),
        LOW.. => Some(Rung::Reduced),
        SLIDES.. => Some(Rung::Slides),
        SOUND.. => Some(Rung::Sound),
        _ => None,
    }
}

/// Judges what was measured.
#[must_use]
pub fn diagnose(report: Report, lang: Lang) -> Diagnosis {
    let (from_campus, to_campus) = (expected(report.down), expected(report.up));
    let usable = from_campus.is_some() && to_campus.is_some();
    let says = sentences(&report, from_campus, to_campus, lang);
    Diagnosis { report, from_campus, to_campus, usable, says }
}

fn sentences(report: &Report, down: Option<Rung>, up: Option<Rung>, lang: Lang) -> Vec<String> {
    let say = |zh: String, en: String| if lang == Lang::Zh { zh } else { en };
    let mut says = Vec::new();
    says.push(match (&report.udp, &report.tcp) {
        (Through::Open, _) => say(
            format!("UDP 可以通到总部校区({})。", report.upstream),
            format!("UDP gets through to the campus ({}).", report.upstream),
        ),
        (_, Through::Open) => say(
            "UDP 被封锁,干线将改走 TCP 443:能上课,但线路差时画面会卡。请网络管理员放行到总部校区的 UDP。"
                .into(),
            "UDP is blocked; the trunk will go over TCP: lessons work, but pictures freeze \
             sooner on a bad line. Ask whoever runs the network to let UDP to the campus out."
                .into(),
        ),
        (Through::Refused(why), _) | (_, Through::Refused(why)) => say(
            format!("总部校区拒绝了这个节点:{why}。"),
            format!("The campus refuses this node: {why}."),
        ),
        _ => say(
            "连不上总部校区:UDP 和 TCP 都没有回应。请检查地址、网线和防火墙。".into(),
            "The campus can't be reached: neither UDP nor TCP is answered. Check its address, \
             the cable and the firewall."
                .into(),
        ),
    });
    if let (Some(d), Some(u)) = (report.down, report.up) {
        says.push(say(
            format!("速率:下行{},上行{}。", rate(d, lang), rate(u, lang)),
            format!("Rate: {} down, {} up.", rate(d, lang), rate(u, lang)),
        ));
        says.push(say(
            format!("预计这所学校看到的老师:{}。", words(down, lang)),
            format!("This school will get of the teacher: {}.", words(down, lang)),
        ));
        says.push(say(
            format!("预计总部校区看到的这个教室:{}。", words(up, lang)),
            format!("The campus will get of this class: {}.", words(up, lang)),
        ));
        let loss = d.loss.max(u.loss);
        if loss > LOSSY {
            says.push(say(
                format!("丢包 {:.1}%:画面会不时停顿。请检查线路或无线信号。", loss * 100.0),
                format!(
                    "{:.1} % of packets are lost: pictures will freeze now and then. Check the \
                     line or the radio signal.",
                    loss * 100.0
                ),
            ));
        }
    } else if let Some(broken) = &report.broken {
        says.push(say(
            format!("没有测完:{broken}。"),
            format!("The measurement is not whole: {broken}."),
        ));
    }
    if let Some(ping) = report.ping {
        if ping.median_ms > SLOW_MS {
            says.push(say(
                format!("往返 {:.0} 毫秒:问答时请稍等对方。", ping.median_ms),
                format!(
                    "The round trip takes {:.0} ms: wait for each other when you speak.",
                    ping.median_ms
                ),
            ));
        }
        if ping.clock_ahead_ms.abs() > CLOCK_MS {
            let minutes = ping.clock_ahead_ms / 60_000;
            says.push(say(
                format!("本机时钟与总部校区相差 {minutes} 分钟:请打开自动对时(NTP)。"),
                format!("This machine's clock is {minutes} minutes off the campus's: turn on NTP."),
            ));
        }
    }
    if let Some(certificate) = report.certificate {
        if certificate.days_left < 0 {
            says.push(say(
                "本节点的证书已过期:请向总部校区要一个注册码,再运行 sfu enrol --force。".into(),
                "This node's certificate has expired: ask the campus for a code and run sfu \
                 enrol --force."
                    .into(),
            ));
        } else {
            says.push(say(
                format!("证书还有 {} 天有效,会自动续期。", certificate.days_left),
                format!(
                    "The certificate is good for {} days and renews itself.",
                    certificate.days_left
                ),
            ));
        }
    }
    says
}

fn rate(rate: Rate, lang: Lang) -> String {
    let at_least = match (rate.at_least, lang) {
        (false, _) => "",
        (true, Lang::Zh) => "至少 ",
        (true, Lang::En) => "at least ",
    };
    match rate.bits_per_second {
        bits @ 1_000_000.. => format!("{at_least}{:.1} Mbit/s", bits as f64 / 1e6),
        bits => format!("{at_least}{} kbit/s", bits / 1000),
    }
}

fn words(rung: Option<Rung>, lang: Lang) -> &'static str {
    match (rung, lang) {
        (Some(Rung::Full), Lang::Zh) => "清晰的视频、课件和声音",
        (Some(Rung::Full), Lang::En) => "full video, slides and sound",
        (Some(Rung::Reduced), Lang::Zh) => "较小的视频、课件和声音",
        (Some(Rung::Reduced), Lang::En) => "low video, slides and sound",
        (Some(Rung::Slides | Rung::Stills), Lang::Zh) => "课件和声音,没有连续的视频",
        (Some(Rung::Slides | Rung::Stills), Lang::En) => "slides and sound, no moving picture",
        (Some(Rung::Sound), Lang::Zh) => "只有声音",
        (Some(Rung::Sound), Lang::En) => "sound alone",
        (None, Lang::Zh) => "什么都没有,无法上课",
        (None, Lang::En) => "nothing: no lesson is possible",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bits_per_second: u64, loss: f64) -> Option<Rate> {
        Some(Rate { bits_per_second, at_least: false, loss })
    }

    #[test]
    fn a_line_is_told_what_it_is_good_for() {
        assert_eq!(expected(line(4_000_000, 0.03)), Some(Rung::Full));
        assert_eq!(expected(line(1_500_000, 0.0)), Some(Rung::Reduced));
        assert_eq!(expected(line(300_000, 0.0)), Some(Rung::Slides));
        assert_eq!(expected(line(100_000, 0.0)), Some(Rung::Sound));
        assert_eq!(expected(line(30_000, 0.0)), None);
        assert_eq!(expected(line(300_000, 0.9)), None);
        assert_eq!(expected(None), None);
    }

    #[test]
    fn each_finding_has_its_sentence_in_both_languages() {
        let report = Report {
            upstream: "campus.example:443".into(),
            udp: Through::Blocked("x".into()),
            tcp: Through::Open,
            down: line(4_000_000, 0.1),
            up: line(300_000, 0.0),
            ping: Some(cloudschool_relay::measure::Ping {
                min_ms: 500.0,
                median_ms: 550.0,
                jitter_ms: 1.0,
                clock_ahead_ms: -3_600_000,
            }),
            certificate: Some(cloudschool_relay::measure::Certificate {
                days_left: -3,
                renew_in_days: 0,
            }),
            ..Report::default()
        };
        let en = diagnose(report.clone(), Lang::En);
        let text = en.says.join("\n");
        for part in [
            "UDP is blocked",
            "4.0 Mbit/s down, 300 kbit/s up",
            "full video",
            "no moving picture",
            "10.0 %",
            "550 ms",
            "-60 minutes",
            "has expired",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(en.usable);
        let zh = diagnose(report, Lang::Zh);
        assert_eq!(zh.says.len(), en.says.len());
        assert!(zh.says.iter().all(|s| s.ends_with('。')), "{:?}", zh.says);
    }

    #[test]
    fn a_campus_that_does_not_answer_is_no_lesson() {
        let report = Report {
            udp: Through::Blocked("x".into()),
            tcp: Through::Blocked("y".into()),
            broken: Some("the campus can't be reached".into()),
            ..Report::default()
        };
        let said = diagnose(report, Lang::En);
        assert!(!said.usable && said.says[0].contains("can't be reached"), "{said:?}");
    }
}
