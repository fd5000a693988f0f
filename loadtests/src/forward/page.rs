//! One page about a bench: self-contained, with its plots inside.

use super::bench::PARTS;
use super::plots;
use super::verdict::{Results, verdicts};
use anyhow::Result;
use serde_json::Value;
use std::fmt::Write as _;

pub const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2329; background: #fff; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #d8dde2; }
td.figure, th.figure { text-align: right; }
.holds { color: #2d6b3c; } .fails { color: #b3261e; font-weight: 600; } .unknown { color: #6b7680; }
svg { max-width: 100%; height: auto; }
footer { margin-top: 3rem; color: #5a646e; font-size: .9rem; }
";

/// The page.
///
/// # Errors
/// When a plot can't be drawn.
pub fn html(results: &Results) -> Result<String> {
    let mut page = String::with_capacity(100_000);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Cloudschool: what forwarding costs</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<h1>What forwarding costs</h1>\n<p>{}</p>\n",
        escape(&machine(results.0.values()))
    );
    targets(&mut page, results);
    figures(&mut page, results);
    for (title, note, plot) in [
        (
            "Beside the floor and Janus",
            "CPU time of the server's process for each packet a viewer received; each run measures \
             all sides one after the other, with the same publisher and viewers in the same network. \
             The scale is logarithmic.",
            plots::side_by_side(results)?,
        ),
        (
            "By the number of viewers",
            "CPU time per packet to 50, 200 and 500 viewers of 2 Mbit/s.",
            plots::by_viewers(results)?,
        ),
        (
            "Joining a running lesson",
            "From the end of the DTLS handshake to the first frame a decoder could show.",
            plots::joins(results)?,
        ),
        (
            "While the line narrows and widens",
            "The layer that the first viewer could show, beside the largest one that fits the line.",
            plots::layers(results)?,
        ),
    ] {
        if let Some(svg) = plot {
            let _ = write!(page, "<h2>{title}</h2>\n<p>{note}</p>\n{svg}\n");
        }
    }
    page.push_str(
        "<footer>\n<p>CPU time is the run time of all threads of the server's process, from \
         <code>/proc/PID/task/*/schedstat</code>; the receiving half of the loopback interface runs \
         in the sender's system calls and is part of it, as it is of the floor. The floor is a tight \
         loop of copying, rewriting, sealing and sending the same packets in the same bursts to as \
         many sockets; paced, the loop waits for each burst until it would be published, while \
         another thread reads the sockets. Viewers are real ICE and DTLS peers that open every packet, decode nothing \
         and send receiver reports, transport-cc feedback, NACKs and PLIs as a browser does. Latency \
         is from the publisher's call to send until the kernel had the packet for the viewer.</p>\n\
         </footer>\n</body>\n</html>\n",
    );
    Ok(page)
}

/// Where reports say they were measured.
pub fn machine<'a>(mut reports: impl Iterator<Item = &'a Value>) -> String {
    let Some(machine) = reports.find_map(|r| r.get("machine")) else {
        return "Nothing was measured.".to_owned();
    };
    let text = |key: &str| machine.get(key).and_then(Value::as_str).unwrap_or_default();
    let cores = machine.get("cores").and_then(Value::as_u64).unwrap_or_default();
    format!(
        "Measured on {} with {cores} cores, Linux {}; server, publishers and viewers share them.",
        text("cpu"),
        text("kernel")
    )
}

fn targets(page: &mut String, results: &Results) {
    page.push_str(
        "<table>\n<thead><tr><th>What must hold</th><th class=\"figure\">Measured</th>\
         <th class=\"figure\">Wanted</th><th></th></tr></thead>\n<tbody>\n",
    );
    for verdict in verdicts(results) {
        let (class, word) = match verdict.holds {
            Some(true) => ("holds", "holds"),
            Some(false) => ("fails", "does not hold"),
            None => ("unknown", "–"),
        };
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td class=\"figure\">{}</td><td class=\"figure\">{}</td>\
             <td class=\"{class}\">{word}</td></tr>",
            escape(verdict.what),
            escape(&verdict.measured),
            escape(&verdict.wanted)
        );
    }
    page.push_str("</tbody>\n</table>\n");
}

fn figures(page: &mut String, results: &Results) {
    page.push_str(
        "<h2>All parts</h2>\n<table>\n<thead><tr><th>Part</th><th class=\"figure\">µs/packet</th>\
         <th class=\"figure\">floor</th><th class=\"figure\">paced</th><th class=\"figure\">Janus</th>\
         <th class=\"figure\">packets/s</th><th class=\"figure\">p50 ms</th>\
         <th class=\"figure\">p99 ms</th><th class=\"figure\">loss %</th>\
         <th class=\"figure\">KiB each</th><th>tool in the way</th></tr></thead>\n<tbody>\n",
    );
    for part in &PARTS {
        let Some(report) = results.0.get(part.name) else { continue };
        let figure = |key: &str, scale: f64, digits: usize| {
            let value = results.figure(part.name, key).map(|v| v * scale);
            let text = value.map_or_else(|| "–".to_owned(), |v| format!("{v:.digits$}"));
            format!("<td class=\"figure\">{text}</td>")
        };
        let bound = report.get("client_bound").and_then(Value::as_bool).unwrap_or_default();
        let _ = writeln!(
            page,
            "<tr><td>{}</td>{}{}{}{}{}{}{}{}{}<td>{}</td></tr>",
            escape(part.title),
            figure("/cpu_us_per_packet", 1.0, 2),
            figure("/floor_us_per_packet", 1.0, 2),
            figure("/paced_floor_us_per_packet", 1.0, 2),
            figure("/janus_us_per_packet", 1.0, 2),
            figure("/packets_per_second", 1.0, 0),
            figure("/latency_p50_ms", 1.0, 2),
            figure("/latency_p99_ms", 1.0, 2),
            figure("/loss", 100.0, 4),
            figure("/rss_kib_per_subscriber", 1.0, 0),
            if bound { "yes" } else { "no" },
        );
    }
    page.push_str("</tbody>\n</table>\n");
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_says_what_was_measured() {
        let mut results = Results::default();
        let report = json!({
            "machine": { "cpu": "a <fast> one", "cores": 2, "kernel": "6" },
            "cpu_us_per_packet": 1.5,
            "ratio_to_floor": 1.9,
            "runs": [{ "server": { "cpu_us_per_packet": 1.5 } }],
        });
        results.0.insert("side-by-side", report);
        let page = html(&results).unwrap();
        assert!(page.contains("a &lt;fast&gt; one") && page.contains("1.90 ×"));
        assert!(page.contains("<svg") && page.contains("not measured"));
        assert!(!page.contains("src=") && !page.contains("href="));
    }
}
