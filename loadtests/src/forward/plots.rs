//! The bench's plots, as SVG.

use super::verdict::Results;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use serde_json::Value;

const SIZE: (u32, u32) = (840, 320);
pub const OURS: RGBColor = RGBColor(0x0b, 0x6e, 0x99);
const FLOOR: RGBColor = RGBColor(0x8a, 0x94, 0x9e);
pub const JANUS: RGBColor = RGBColor(0xc4, 0x5a, 0x1b);
pub const GOOD: RGBColor = RGBColor(0x3c, 0x80, 0x4b);

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot failed: {error}")
}

/// CPU time per packet of every run, a bar for each side, on a logarithmic scale.
pub fn side_by_side(results: &Results) -> Result<Option<String>> {
    let Some(runs) = results.0.get("side-by-side").and_then(|r| r.get("runs")?.as_array()) else {
        return Ok(None);
    };
    let figure = |run: &Value, pointer: &str| run.pointer(pointer).and_then(Value::as_f64);
    let mut bars: Vec<(String, f64, RGBColor)> = Vec::new();
    for (n, run) in runs.iter().enumerate() {
        for (name, pointer, colour) in [
            ("floor", "/floor/cpu_us_per_packet", FLOOR),
            ("paced floor", "/paced_floor/cpu_us_per_packet", FLOOR),
            ("ours", "/server/cpu_us_per_packet", OURS),
            ("Janus", "/janus/cpu_us_per_packet", JANUS),
        ] {
            if let Some(value) = figure(run, pointer) {
                bars.push((format!("{name} {}", n + 1), value, colour));
            }
        }
    }
    if bars.is_empty() {
        return Ok(None);
    }
    let most = bars.iter().map(|(_, v, _)| *v).fold(1.0, f64::max) * 1.6;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let count = bars.len() as i32;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(30)
            .y_label_area_size(48)
            .build_cartesian_2d((0..count).into_segmented(), (0.1..most).log_scale())
            .map_err(failed)?;
        let name = |at: &SegmentValue<i32>| match at {
            SegmentValue::CenterOf(n) => {
                usize::try_from(*n).ok().and_then(|n| bars.get(n)).map(|(name, ..)| name.clone())
            }
            _ => None,
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(bars.len())
            .x_label_formatter(&|at| name(at).unwrap_or_default())
            .y_desc("µs per packet")
            .draw()
            .map_err(failed)?;
        let rectangles = bars.iter().enumerate().map(|(n, (_, value, colour))| {
            let n = n as i32;
            let corners = [(SegmentValue::Exact(n), 0.1), (SegmentValue::Exact(n + 1), *value)];
            let mut bar = Rectangle::new(corners, colour.filled());
            bar.set_margin(0, 0, 8, 8);
            bar
        });
        chart.draw_series(rectangles).map_err(failed)?;
        let labels = bars.iter().enumerate().map(|(n, (_, value, _))| {
            let at = (SegmentValue::CenterOf(n as i32), value * 1.3);
            Text::new(format!("{value:.2}"), at, ("sans-serif", 12).into_font())
        });
        chart.draw_series(labels).map_err(failed)?;
        area.present().map_err(failed)?;
    }
    Ok(Some(svg))
}

/// CPU time per packet by the number of viewers, beside the floor.
pub fn by_viewers(results: &Results) -> Result<Option<String>> {
    let of = |pointer: &str| -> Vec<(f64, f64)> {
        ["few", "side-by-side", "many"]
            .iter()
            .filter_map(|part| {
                Some((results.figure(part, "/work/subscribers")?, results.figure(part, pointer)?))
            })
            .collect()
    };
    let (ours, floor) = (of("/cpu_us_per_packet"), of("/floor_us_per_packet"));
    let paced = of("/paced_floor_us_per_packet");
    let axes = Axes { x: "viewers", y: "µs per packet", from_zero: true };
    lines(&axes, &[("ours", OURS, ours), ("paced floor", GOOD, paced), ("floor", FLOOR, floor)])
}

/// What share of the viewers that joined saw something after how long.
pub fn joins(results: &Results) -> Result<Option<String>> {
    let report = results.0.get("joins");
    let waits = report.and_then(|r| r.pointer("/runs/0/server/joins/first_frame_ms")?.as_array());
    let waits = waits.map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_f64);
    let points = waits.enumerate().map(|(n, ms)| (ms, n as f64)).collect();
    let axes = Axes { x: "ms from DTLS to the first frame", y: "% of viewers", from_zero: true };
    lines(&axes, &[("ours", OURS, points)])
}

/// The layer shown over time, and the one that was right.
pub fn layers(results: &Results) -> Result<Option<String>> {
    let report = results.0.get("narrowing");
    let Some(layers) = report.and_then(|r| r.pointer("/runs/0/server/layers")) else {
        return Ok(None);
    };
    let end = results.figure("narrowing", "/work/seconds").unwrap_or(60.0);
    let pairs = |pointer: &str, at: &str, layer: &str| -> Vec<(f64, f64)> {
        let list = layers.pointer(pointer).and_then(Value::as_array);
        let list = list.map(Vec::as_slice).unwrap_or_default().iter();
        list.filter_map(|e| Some((e.pointer(at)?.as_f64()?, e.pointer(layer)?.as_f64()?))).collect()
    };
    let right = steps(&pairs("/steps", "/at_s", "/right_layer"), end);
    let shown = steps(&pairs("/shown", "/0", "/1"), end);
    let axes = Axes { x: "s", y: "layer", from_zero: true };
    lines(&axes, &[("right", GOOD, right), ("shown", OURS, shown)])
}

/// Corners of a line that stays until it changes.
pub fn steps(changes: &[(f64, f64)], end: f64) -> Vec<(f64, f64)> {
    let mut corners = Vec::new();
    for (n, (at, value)) in changes.iter().enumerate() {
        let until = changes.get(n + 1).map_or(end, |(next, _)| *next).min(end);
        corners.extend([(*at, *value), (until, *value)]);
    }
    corners
}

/// What a plot shows.
pub struct Axes {
    pub x: &'static str,
    pub y: &'static str,
    pub from_zero: bool,
}

/// Points of one kind, with their name in the legend.
pub type Series<'a> = (&'a str, RGBColor, Vec<(f64, f64)>);

/// A line for each series that has points; `None` when none has.
///
/// # Errors
/// When it can't be drawn.
pub fn lines(axes: &Axes, series: &[Series<'_>]) -> Result<Option<String>> {
    let points = || series.iter().flat_map(|(_, _, points)| points);
    if points().next().is_none() {
        return Ok(None);
    }
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::MIN_POSITIVE, f64::max);
    let least = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::MAX, f64::min);
    let (x, y) = (most(|p| p.0) * 1.05, most(|p| p.1) * 1.15);
    let from = if axes.from_zero { 0.0 } else { least(|p| p.0) };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(48)
            .build_cartesian_2d(from..x, 0.0..y)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .x_desc(axes.x)
            .y_desc(axes.y)
            .draw()
            .map_err(failed)?;
        for (name, colour, points) in series.iter().filter(|(_, _, points)| !points.is_empty()) {
            let style = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style))
                .map_err(failed)?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(FLOOR)
            .position(SeriesLabelPosition::UpperRight)
            .draw()
            .map_err(failed)?;
        area.present().map_err(failed)?;
    }
    Ok(Some(svg))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_is_a_plot_of_what_was_measured_and_none_of_what_was_not() {
        let mut results = Results::default();
        assert!(side_by_side(&results).unwrap().is_none());
        assert!(by_viewers(&results).unwrap().is_none());
        let run = json!({
            "server": { "cpu_us_per_packet": 1.25 },
            "floor": { "cpu_us_per_packet": 0.75 },
        });
        let report = json!({
            "runs": [run],
            "work": { "subscribers": 200 },
            "cpu_us_per_packet": 1.25,
        });
        results.0.insert("side-by-side", report);
        let svg = side_by_side(&results).unwrap().unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("1.25") && svg.contains("floor 1"));
        assert!(by_viewers(&results).unwrap().unwrap().contains("viewers"));
    }

    #[test]
    fn a_layer_is_drawn_until_the_next_one() {
        assert_eq!(
            steps(&[(0.0, 2.0), (10.0, 1.0)], 60.0),
            [(0.0, 2.0), (10.0, 2.0), (10.0, 1.0), (60.0, 1.0)]
        );
    }
}
