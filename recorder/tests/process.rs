//! The real recorder over the real trunk: a lesson from begin to end, and one in the middle
//! of which the recorder is killed.

mod support;
#[path = "support/upstream.rs"]
mod upstream;

use cloudschool_protocol::event::EventBody;
use cloudschool_protocol::id::{LessonId, MemberId, NodeId, SchoolId};
use cloudschool_protocol::lesson::showing::Layout;
use cloudschool_protocol::media::{Source, TrackId};
use cloudschool_protocol::member::Role;
use cloudschool_protocol::token::Claims;
use cloudschool_recorder::clock::SECOND;
use cloudschool_recorder::mkv::Reader;
use cloudschool_service::issuer;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{Media, info, judge, member, track};
use tempfile::TempDir;
use upstream::{Publisher, Upstream};
use uuid::Uuid;

/// SHA-256 of [`upstream::PAGE`].
const PAGE_ID: &str = "c8a34fec2616f84f8d0e621b6540b482eb85ef4bfe364c880a2d8f71086105e3";

const CLOCK: u64 = 0xed40_0000_1234_5678;

/// Everything around one recorder process.
struct Site {
    dir: TempDir,
    identity: PathBuf,
    upstream: Upstream,
    port: u16,
    process: Option<Child>,
}

impl Site {
    fn new(lesson: &str, publishers: Vec<(TrackId, Media)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (campus, identity) = upstream::identities(dir.path());
        issuer::init(&dir.path().join("issuer")).unwrap();
        let publishers = publishers
            .into_iter()
            .map(|(track, media)| Publisher { track, media, ntp_zero: CLOCK })
            .collect();
        let upstream = Upstream::start(&campus, info(lesson), publishers);
        let port = cloudschool_service::ports::unclaimed(1).unwrap();
        Self { dir, identity, upstream, port, process: None }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self) -> Command {
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/recorder.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_recorder"));
        command.args(["--config", config]).stdin(Stdio::null());
        for (key, value) in [
            ("NODE__DATA", self.data().display().to_string()),
            ("HTTP__BIND", format!("127.0.0.1:{}", self.port)),
            ("TRUNK__IDENTITY", self.identity.display().to_string()),
            ("TRUNK__UPSTREAM", self.upstream.address.to_string()),
            ("AUTH__LOCAL", self.dir.path().join("issuer").display().to_string()),
            ("RECORDING__MIN_FREE_MB", "1".into()),
        ] {
            command.env(format!("CLOUDSCHOOL__{key}"), value);
        }
        command
    }

    async fn start(&mut self) {
        self.start_by(self.command()).await;
    }

    async fn start_by(&mut self, mut command: Command) {
        self.process = Some(command.spawn().unwrap());
        self.until_ready(true).await;
    }

    /// Waits until `/readyz` says so; gives what it says.
    async fn until_ready(&self, wanted: bool) -> serde_json::Value {
        let url = self.url("/readyz");
        let deadline = tokio::time::Instant::now() + Duration::from_secs(25);
        loop {
            if let Ok(answer) = reqwest::get(&url).await
                && answer.status().is_success() == wanted
            {
                return answer.json().await.unwrap();
            }
            assert!(tokio::time::Instant::now() < deadline, "ready did not become {wanted}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Ends it as an operator does.
    async fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        let pid = process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let ended = tokio::task::spawn_blocking(move || process.wait().unwrap()).await.unwrap();
        assert!(ended.success(), "{ended}");
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn token(&self, lesson: Option<&str>) -> String {
        let claims = Claims {
            aud: String::new(),
            iss: String::new(),
            sub: MemberId::new("reader").unwrap(),
            name: "读者".into(),
            role: Role::Observer,
            school: SchoolId::new("campus").unwrap(),
            lesson: lesson.map(|l| LessonId::new(l).unwrap()),
            exp: upstream::now_ms() / 1000 + 3600,
            nbf: None,
        };
        issuer::load(&self.dir.path().join("issuer")).unwrap().sign(claims).unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut request = reqwest::Client::new().get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn json(&self, path: &str) -> serde_json::Value {
        let bearer = format!("Bearer {}", self.token(None));
        let answer = self.get(path, &[("authorization", &bearer)]).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    /// Opens the lesson with a teacher in it who publishes everything there is.
    fn open(&self, publishers: &[TrackId]) {
        let lesson = self.upstream.state().info;
        self.upstream.event(EventBody::LessonOpened { info: lesson });
        self.upstream.event(EventBody::MemberJoined { member: member("li", Role::Teacher) });
        for track in publishers {
            let codec = match track.source {
                Source::Camera | Source::Screen => cloudschool_protocol::media::Codec::H264,
                _ => cloudschool_protocol::media::Codec::Opus,
            };
            let node = NodeId::new("campus").unwrap();
            self.upstream.event(EventBody::TrackPublished { track: track.clone(), codec, node });
        }
    }

    fn begin(&self) {
        let by = MemberId::new("li").unwrap();
        self.upstream.event(EventBody::LessonStarted { by, session: Uuid::now_v7() });
    }

    fn open_slides(&self) {
        let page = serde_json::json!({"asset": PAGE_ID, "width": 1920, "height": 1080});
        let deck = serde_json::json!({"id": "d", "title": "课件", "pages": [page]});
        let deck = serde_json::from_value(deck).unwrap();
        let by = MemberId::new("li").unwrap();
        self.upstream.event(EventBody::SlidesOpened { deck, page: 1, by });
        let by = Some(MemberId::new("li").unwrap());
        self.upstream.event(EventBody::ViewDirected {
            layout: Layout::Slides,
            focus: None,
            auto: false,
            by,
        });
    }

    fn end(&self) {
        self.upstream.event(EventBody::LessonEnded { by: MemberId::new("li").unwrap() });
    }

    fn lesson_seconds(&self) -> f64 {
        let state = self.upstream.state();
        (state.ended_ms.unwrap() - state.started_ms.unwrap()) as f64 / 1000.0
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

fn camera_and_microphone(seconds: u32) -> (Vec<TrackId>, Vec<(TrackId, Media)>) {
    let (camera, mic) = (track("li", Source::Camera), track("li", Source::Microphone));
    let media = vec![
        (camera.clone(), support::h264(11, seconds, (320, 180), 15)),
        (mic.clone(), support::opus(12, seconds)),
    ];
    (vec![camera, mic], media)
}

fn parts(dir: &Path) -> Vec<PathBuf> {
    let lessons = std::fs::read_dir(dir.join("lessons")).unwrap();
    let lesson = lessons.map(|e| e.unwrap().path()).next().unwrap();
    let files = std::fs::read_dir(lesson).unwrap().map(|e| e.unwrap().path());
    let mut parts: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "mkv")).collect();
    parts.sort();
    parts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lesson_is_recorded_published_and_announced() {
    let (tracks, media) = camera_and_microphone(20);
    let mut site = Site::new("math-302", media);
    site.start().await;
    site.open(&tracks);
    site.upstream.until(site.upstream.elapsed() + SECOND / 2).await;
    site.begin();
    site.open_slides();
    site.upstream.until(site.upstream.elapsed() + 5 * SECOND).await;
    site.end();
    let (url, duration_ms) = site.upstream.archived(Duration::from_secs(15)).await;
    assert!((duration_ms as f64 / 1000.0 - site.lesson_seconds()).abs() < 0.1);

    let found = site.json("/api/recordings?q=%E5%87%BD%E6%95%B0").await;
    assert_eq!(found["total"], 1);
    let item = &found["items"][0];
    let id = item["id"].as_str().unwrap();
    assert!(url.ends_with(&format!("/library?recording={id}")), "{url}");
    assert_eq!(item["lesson"], "math-302");
    assert_eq!(site.json("/api/recordings?q=%E5%8C%96%E5%AD%A6").await["total"], 0);
    let one = site.json(&format!("/api/recordings/{id}")).await;
    assert_eq!(one["members"][0]["role"], "teacher");
    assert_eq!(one["tracks"].as_array().unwrap().len(), 2);

    // What was shown beside it is there without the campus.
    let own = format!("Bearer {}", site.token(Some("math-302")));
    let media = async |file: &str| {
        let answer = site.get(&format!("/media/{id}/{file}"), &[("authorization", &own)]).await;
        assert_eq!(answer.status(), 200, "{file}");
        answer.bytes().await.unwrap()
    };
    assert_eq!(one["shown"], format!("/media/{id}/shown.json"));
    let shown: serde_json::Value = serde_json::from_slice(&media("shown.json").await).unwrap();
    assert_eq!(shown["moments"][0]["show"], "slides");
    assert_eq!(media(shown["pictures"][PAGE_ID].as_str().unwrap()).await.as_ref(), upstream::PAGE);
    assert_eq!(media(shown["board"].as_str().unwrap()).await.as_ref(), upstream::BOARD);

    let library = site.data().join("library").join(id);
    judge(&library, site.lesson_seconds());
    let frames = support::frame_times(&library.join("index.m3u8")).len();
    assert!(frames > 60, "{frames} frames in 5 s of 15 a second");

    // Over HTTP: ranges, types, and who may read.
    let playlist = item["playlist"].as_str().unwrap();
    let video = playlist.replace("index.m3u8", "video.mp4");
    let range = site.get(&video, &[("authorization", &own), ("range", "bytes=4-7")]).await;
    assert_eq!(range.status(), 206);
    assert_eq!(range.headers()["content-type"], "video/mp4");
    assert!(range.headers()["content-range"].to_str().unwrap().starts_with("bytes 4-7/"));
    assert_eq!(range.bytes().await.unwrap().as_ref(), b"ftyp");
    let other = format!("Bearer {}", site.token(Some("art")));
    assert_eq!(site.get(&video, &[("authorization", &other)]).await.status(), 403);
    assert_eq!(site.get(&video, &[]).await.status(), 401);
    let past = site.get(&video, &[("authorization", &own), ("range", "bytes=999999999-")]).await;
    assert_eq!(past.status(), 416);
    let outside = playlist.replace("index.m3u8", "..%2F..%2Flibrary.sqlite");
    assert_eq!(site.get(&outside, &[("authorization", &own)]).await.status(), 404);
    assert_eq!(site.get("/api/recordings?limit=x", &[("authorization", &own)]).await.status(), 400);
    let metrics = site.get("/metrics", &[]).await.text().await.unwrap();
    assert!(metrics.contains("cloudschool_recorder_lessons_published_total 1"), "{metrics}");

    site.stop().await;
    // By hand, once more, over what is there.
    let lesson = parts(&site.data())[0].parent().unwrap().to_owned();
    let mut command = site.command();
    command.arg("finalise").arg("--lesson").arg(lesson);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    judge(&library, site.lesson_seconds());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_recorder_misses_nothing_from_before_but_the_last_second() {
    let (tracks, media) = camera_and_microphone(40);
    let mut site = Site::new("physics", media);
    site.start().await;
    site.open(&tracks);
    site.begin();
    let begun = site.upstream.elapsed();
    site.upstream.until(begun + 5 * SECOND).await;
    site.kill();
    let killed = (site.upstream.elapsed() - begun) as f64 / SECOND as f64;
    // What a killed process left is readable by anyone.
    for part in parts(&site.data()) {
        assert_eq!(support::decode_errors(&part), "", "{}", part.display());
        let last = Reader::open(&part).unwrap().index.blocks.last().unwrap().time;
        let reached = last as f64 / SECOND as f64;
        assert!(reached > killed - 1.5 - 0.5, "{}: {reached} s of {killed} s", part.display());
    }

    site.start().await;
    let restarted = (site.upstream.elapsed() - begun) as f64 / SECOND as f64;
    site.upstream.until(site.upstream.elapsed() + 4 * SECOND).await;
    site.end();
    let (url, _) = site.upstream.archived(Duration::from_secs(15)).await;
    let seconds = site.lesson_seconds();
    let id = url.split("recording=").nth(1).unwrap();
    let library = site.data().join("library").join(id);
    judge(&library, seconds);

    let times = support::frame_times(&library.join("index.m3u8"));
    let between = |from: f64, to: f64| times.iter().filter(|t| **t >= from && **t < to).count();
    // From the first keyframe, which comes every second, to a second before the kill: every
    // frame. And again from a second and a half after the restart.
    let whole = |from: f64, to: f64| {
        let expected = ((to - from) * 15.0) as usize;
        let got = between(from, to);
        assert!(got + 1 >= expected, "{got} of {expected} frames from {from} s to {to} s");
    };
    whole(1.5, killed - 1.0);
    whole(restarted + 1.5, seconds - 0.5);
    let loud = support::loudness(&library.join("audio.mp4"));
    let silent = |from: f64, to: f64| {
        loud[(from * 100.0) as usize..(to * 100.0) as usize].iter().filter(|l| **l < 0.02).count()
    };
    assert_eq!(silent(1.0, killed - 1.0), 0, "sound is missing from before the kill");
    assert_eq!(silent(restarted + 1.0, seconds - 0.5), 0, "sound is missing after the restart");
    assert_eq!(parts(&site.data()).len(), 4, "new parts after the restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lesson_that_ended_while_the_recorder_was_down_is_published_at_its_start() {
    let (tracks, media) = camera_and_microphone(20);
    let mut site = Site::new("art", media);
    site.start().await;
    site.open(&tracks);
    site.begin();
    site.upstream.until(site.upstream.elapsed() + 3 * SECOND).await;
    site.stop().await;
    site.end();
    site.start().await;
    let (url, _) = site.upstream.archived(Duration::from_secs(15)).await;
    let id = url.split("recording=").nth(1).unwrap();
    judge(&site.data().join("library").join(id), site.lesson_seconds());
}

/// Files may not grow beyond 800 KB: what the system then says is what it says of a full disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_recording_and_is_said_until_there_is_room_again() {
    let (tracks, mut media) = camera_and_microphone(40);
    media[0].1 = support::h264_of("snow", 13, 40, (320, 180), 15);
    let mut site = Site::new("full", media);
    let plain = site.command();
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1600; exec \"$0\" \"$@\""]);
    limited.arg(plain.get_program()).args(plain.get_args());
    for (key, value) in plain.get_envs() {
        limited.env(key, value.unwrap());
    }
    site.start_by(limited).await;
    site.open(&tracks);
    site.begin();
    let begun = site.upstream.elapsed();

    let full = site.until_ready(false).await;
    assert!(full["missing"]["disk"].as_str().unwrap().contains("disk is full"), "{full}");
    let stopped = (site.upstream.elapsed() - begun) as f64 / SECOND as f64;
    let metrics = site.get("/metrics", &[]).await.text().await.unwrap();
    assert!(metrics.contains("cloudschool_recorder_disk_full 1"), "{metrics}");
    assert_eq!(site.get("/livez", &[]).await.status(), 200);
    // It rests, tries again, and there is room: a new file.
    site.until_ready(true).await;
    let resumed = (site.upstream.elapsed() - begun) as f64 / SECOND as f64;
    site.upstream.until(site.upstream.elapsed() + 3 * SECOND).await;
    site.stop().await;

    site.start().await;
    site.end();
    let (url, _) = site.upstream.archived(Duration::from_secs(15)).await;
    let id = url.split("recording=").nth(1).unwrap();
    let library = site.data().join("library").join(id);
    judge(&library, site.lesson_seconds());
    let loud = support::loudness(&library.join("audio.mp4"));
    let tone = |from: f64, to: f64| {
        loud[(from * 100.0) as usize..(to * 100.0) as usize].iter().all(|l| *l > 0.02)
    };
    assert!(tone(1.0, stopped - 1.5), "what was written before is kept");
    assert!(tone(resumed + 1.0, resumed + 2.0), "and it went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_and_a_wrong_key_are_clear_errors() {
    let site = Site::new("x", vec![]);
    let taken = TcpListener::bind(("127.0.0.1", site.port)).unwrap();
    let output = site.command().output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("is in use"), "{text}");
    drop(taken);
    let output = site.command().env("CLOUDSCHOOL__RECORDING__SPEED", "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("speed"), "{text}");
}
