//! How the ratios grow with the work, as a picture: one curve each, the size on a logarithmic axis.

use super::report::Point;
use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 40.0;
/// Sizes from 1 to 10 million.
const DECADES: f64 = 7.0;
const MOST: f64 = 1.25;
const COLOURS: [&str; 4] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd"];

/// The picture; the curves come in the order in which they were measured.
pub fn svg(points: &[Point]) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">Ratio to the limit in the same run, by the amount of work</text>\n"
    );
    grid(&mut text);
    let mut curves: Vec<&str> = points.iter().map(|point| point.curve).collect();
    curves.dedup();
    for (number, curve) in curves.into_iter().enumerate() {
        let points = points.iter().filter(|point| point.curve == curve);
        draw(
            &mut text,
            curve,
            points,
            COLOURS[number % COLOURS.len()],
            number as f64,
        );
    }
    text.push_str("</svg>\n");
    text
}

fn x(size: f64) -> f64 {
    LEFT + size.max(1.0).log10() / DECADES * (WIDTH - LEFT - RIGHT)
}

fn y(ratio: f64) -> f64 {
    HEIGHT - BOTTOM - ratio.min(MOST) / MOST * (HEIGHT - TOP - BOTTOM)
}

fn grid(text: &mut String) {
    for ratio in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (at, end) = (y(ratio), WIDTH - RIGHT);
        let _ = writeln!(
            text,
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{end}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{ratio}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for (size, label) in [
        (1.0, "1"),
        (10.0, "10"),
        (1e2, "100"),
        (1e3, "1 k"),
        (1e4, "10 k"),
        (1e5, "100 k"),
        (1e6, "1 M"),
        (1e7, "10 M"),
    ] {
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            x(size),
            HEIGHT - BOTTOM + 18.0
        );
    }
}

fn draw<'a>(
    text: &mut String,
    curve: &str,
    points: impl Iterator<Item = &'a Point>,
    colour: &str,
    number: f64,
) {
    let places: Vec<(f64, f64)> = points.map(|point| (x(point.size), y(point.ratio))).collect();
    let line: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        line.join(" ")
    );
    for (x, y) in places {
        let _ = writeln!(
            text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
        );
    }
    let (at, height) = (WIDTH - RIGHT + 12.0, TOP + 20.0 * number);
    let _ = writeln!(
        text,
        "<text x=\"{at}\" y=\"{height}\" fill=\"{colour}\">{curve}</text>"
    );
}
