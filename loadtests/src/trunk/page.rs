//! One page about the trunk's bench: self-contained, with its plots inside.

use super::bench::{COST, PARTS};
use crate::forward::page::{STYLE, escape, machine};
use crate::forward::plots::{Axes, GOOD, JANUS, OURS, lines, steps};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The page.
///
/// # Errors
/// When a plot can't be drawn.
pub fn html(reports: &BTreeMap<&'static str, Value>) -> Result<String> {
    let mut page = String::with_capacity(200_000);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Cloudschool: a lesson over a bad line</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<h1>A lesson over a bad line</h1>\n<p>{}</p>\n",
        escape(&machine(reports.values()))
    );
    if reports.values().any(|report| report["debug_build"] == true) {
        page.push_str("<p class=\"fails\">Some of it was measured with a debug build.</p>\n");
    }
    for part in PARTS.iter().chain([&COST]) {
        let Some(report) = reports.get(part.name) else { continue };
        let _ = writeln!(page, "<h2>{}</h2>", escape(part.title));
        if let Some(description) = report["description"].as_str() {
            let _ = writeln!(page, "<p>{}.</p>", escape(description));
        }
        if let Some(at_once @ 2..) = report["at_once"].as_u64() {
            let _ = writeln!(page, "<p>Measured {at_once} lessons at a time.</p>");
        }
        table(&mut page, report);
        plots(&mut page, report)?;
    }
    page.push_str(
        "<footer>\n<p>Campus and school are real processes; the line between them is emulated, \
         packet by packet, with the same seeds for the trunk and for plain WebRTC beside it, \
         where a viewer is connected to the campus directly over a line of its own. The figure \
         is the worst of all viewers and seeds, with what each seed had beside it. Lessons that take \
         little of the machine are measured some at a time where it says so, each with processes \
         and a line of its own; what measures CPU time, or has a line that others share, is \
         measured alone. In time is what is complete, and decodable, \
         within 400 ms over the line's own delay, 900 ms by satellite; an outage itself is left \
         out. The publisher sends H.264 as a browser cuts it, with a keyframe every four \
         seconds; every packet says when it was sent, and publisher and viewers share a \
         clock.</p>\n</footer>\n</body>\n</html>\n",
    );
    Ok(page)
}

fn table(page: &mut String, report: &Value) {
    page.push_str(
        "<table>\n<thead><tr><th>What must hold</th><th class=\"figure\">Measured</th>\
         <th class=\"figure\">Each seed</th><th class=\"figure\">Wanted</th><th class=\"figure\">Plain WebRTC</th><th></th></tr>\
         </thead>\n<tbody>\n",
    );
    let mut row = |what: &str, [measured, each, wanted, plain]: [&str; 4], holds: bool| {
        let (class, word) = if holds { ("holds", "holds") } else { ("fails", "does not hold") };
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td class=\"figure\">{}</td><td class=\"figure\">{}</td>\
             <td class=\"figure\">{}</td><td class=\"figure\">{}</td><td class=\"{class}\">{word}</td></tr>",
            escape(what),
            escape(measured),
            escape(each),
            escape(wanted),
            escape(plain)
        );
    };
    let list = |key: &str| report[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or("–").to_owned();
    for v in list("verdicts") {
        let [what, measured, wanted, plain] =
            ["what", "measured", "wanted", "plain"].map(|key| text(&v, key));
        let each = v["each"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let each: Vec<&str> = each.filter_map(Value::as_str).collect();
        row(&what, [&measured, &each.join(", "), &wanted, &plain], v["holds"] == true);
    }
    // Of a line that others share each seed is a report of its own.
    let others = list("more");
    for (n, check) in list("checks").iter().enumerate() {
        let of = |report: &Value| report["checks"][n]["percent"].as_f64().unwrap_or(f64::NAN);
        let each: Vec<f64> = [report].into_iter().chain(&others).map(of).collect();
        let worst = format!("{:.1} %", each.iter().copied().fold(f64::INFINITY, f64::min));
        let least = check["least"].as_f64().unwrap_or(f64::NAN);
        let all: Vec<String> = each.iter().map(|percent| format!("{percent:.1}")).collect();
        let holds = each.iter().all(|percent| *percent >= least);
        let wanted = format!("≥ {least:.1} %");
        row(&text(check, "what"), [&worst, &all.join(", "), &wanted, "–"], holds);
    }
    if let Some(ratio) = report["ratio_to_bare"].as_f64() {
        let what = "CPU per relayed packet beside bare quinn";
        let measured = format!("{ratio:.2} ×");
        row(what, [&measured, "", "≤ 1.3 ×", "–"], report["ok"] == true);
    }
    page.push_str("</tbody>\n</table>\n");
}

fn plots(page: &mut String, report: &Value) -> Result<()> {
    let Some(run) = report["runs"].get(0) else { return Ok(()) };
    let pairs = |value: &Value| -> Vec<(f64, f64)> {
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default().iter();
        list.filter_map(|pair| Some((pair.get(0)?.as_f64()?, pair.get(1)?.as_f64()?))).collect()
    };
    let seconds = report["seconds"].as_f64().unwrap_or(30.0);
    let latency = pairs(&run["frame_latency"]);
    let axes = Axes { x: "s", y: "ms until a frame is whole", from_zero: true };
    if let Some(svg) = lines(&axes, &[("behind the edge", OURS, latency)])? {
        let _ = write!(page, "<p>Of the first seed:</p>\n{svg}\n");
    }
    let rates = pairs(&run["rates"]);
    if rates.len() > 1 {
        let layers = steps(&pairs(&run["layers_shown"]), seconds);
        let rates: Vec<_> = rates.iter().map(|(at, rate)| (*at, rate / 1e6)).collect();
        let rates = steps(&rates, seconds);
        let axes = Axes { x: "s", y: "layer, and Mbit/s", from_zero: true };
        let series = [("the line", GOOD, rates), ("layer shown", JANUS, layers)];
        if let Some(svg) = lines(&axes, &series)? {
            let _ = writeln!(page, "{svg}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_says_what_does_not_hold() {
        let verdict = json!({
            "what": "Sound within 400 ms", "wanted": "≥ 99.5 %", "measured": "98.00 %",
            "holds": false, "each": ["99.60", "98.00", "99.70"], "plain": "91.00 %",
        });
        let report = json!({
            "description": "a <bad> line", "ok": false, "debug_build": false, "seconds": 30.0,
            "at_once": 2,
            "machine": { "cpu": "one", "cores": 2, "kernel": "6" },
            "verdicts": [verdict],
            "runs": [{
                "frame_latency": [[0.0, 60.0], [1.0, 170.0]],
                "rates": [[0.0, 4e6], [10.0, 3e5]],
                "layers_shown": [[0.0, 2], [11.0, 0]],
            }],
        });
        let shared = json!({
            "ok": true, "machine": { "cpu": "one", "cores": 2, "kernel": "6" },
            "checks": [{ "what": "sound", "percent": 99.9, "least": 99.0, "holds": true }],
            "more": [{
                "checks": [{ "what": "sound", "percent": 98.5, "least": 99.0, "holds": false }],
            }],
        });
        let page = html(&BTreeMap::from([("narrowing", report), ("beside-tcp", shared)])).unwrap();
        assert!(page.contains("a &lt;bad&gt; line") && page.contains("does not hold"));
        assert!(page.contains("91.00 %") && page.contains("99.60, 98.00, 99.70"));
        assert!(page.contains("98.5 %") && page.contains("99.9, 98.5"), "the worst of the seeds");
        assert!(page.contains("2 lessons at a time"));
        assert_eq!(page.matches("<svg").count(), 2);
        assert!(!page.contains("src=") && !page.contains("href="));
    }
}
