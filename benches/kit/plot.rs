//! Percentile curves as SVG: to the right the percentile, each nine as wide as the one before; upwards the
//! value, logarithmically.

use std::fmt::Write;

use hdrhistogram::Histogram;

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 290.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
/// Steps in which a curve is drawn, for each nine.
const STEPS: u32 = 40;
/// Told apart with any sight that tells colours apart, and without by the order of the legend.
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933",
];

/// One line: how large the values up to each percentile are.
pub struct Curve {
    label: String,
    /// Nines of the percentile, and the value.
    points: Vec<(f64, f64)>,
}

/// All lines, and what they are of.
pub struct Plot {
    title: &'static str,
    unit: &'static str,
    pub curves: Vec<Curve>,
}

impl Curve {
    /// The curve of what was measured, as far as there is more than one value beyond a percentile.
    pub fn of(label: &str, values: &Histogram<u64>, scale: f64) -> Curve {
        let nines = (values.len().max(1) as f64).log10();
        let steps = (nines * f64::from(STEPS)).floor() as u32;
        let point = |step| {
            let nines = f64::from(step) / f64::from(STEPS);
            let value = values.value_at_quantile(1.0 - 10f64.powf(-nines));
            (nines, value as f64 / scale)
        };
        Curve {
            label: label.to_owned(),
            points: (0..=steps).map(point).collect(),
        }
    }
}

/// Where values come to stand.
struct Frame {
    nines: f64,
    low: f64,
    high: f64,
}

impl Frame {
    fn around(curves: &[Curve]) -> Frame {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let values = || points().map(|point| point.1).filter(|value| *value > 0.0);
        let low = values().fold(f64::INFINITY, f64::min);
        let high = values().fold(low, f64::max);
        Frame {
            nines: points().map(|point| point.0).fold(1.0, f64::max),
            low: if low.is_finite() { low / 1.1 } else { 1.0 },
            high: if high.is_finite() { high * 1.1 } else { 10.0 },
        }
    }

    fn x(&self, nines: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * nines / self.nines
    }

    fn y(&self, value: f64) -> f64 {
        let part = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part
    }

    /// 1, 2 and 5 of each power of ten that is in sight.
    fn marks(&self) -> Vec<f64> {
        let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        powers
            .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)))
            .filter(|mark| (self.low..=self.high).contains(mark))
            .collect()
    }
}

impl Plot {
    pub fn new(title: &'static str, unit: &'static str) -> Plot {
        Plot {
            title,
            unit,
            curves: Vec::new(),
        }
    }

    /// The whole file.
    pub fn to_svg(&self) -> String {
        let frame = Frame::around(&self.curves);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}, {}</text>\n",
            escaped(self.title),
            escaped(self.unit),
        );
        // Writing to a string cannot fail.
        let _ = self.grid(&mut svg, &frame);
        for (number, curve) in self.curves.iter().enumerate() {
            let _ = draw(&mut svg, &frame, number, curve);
        }
        svg + "</svg>\n"
    }

    fn grid(&self, svg: &mut String, frame: &Frame) -> std::fmt::Result {
        let (right, floor) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for mark in frame.marks() {
            let y = frame.y(mark);
            writeln!(
                svg,
                "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>",
                LEFT - 6.0,
                y + 4.0
            )?;
        }
        let percentiles = ["0", "90", "99", "99.9", "99.99", "99.999", "99.9999"];
        for (nines, percentile) in percentiles.iter().enumerate() {
            let x = frame.x(nines as f64);
            if x <= right + 0.5 {
                writeln!(
                    svg,
                    "<path d=\"M{x:.1} {TOP}V{floor}\" stroke=\"#ddd\"/>\
                     <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{percentile}</text>",
                    floor + 17.0
                )?;
            }
        }
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">percentile</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 10.0
        )
    }
}

fn draw(svg: &mut String, frame: &Frame, number: usize, curve: &Curve) -> std::fmt::Result {
    let colour = COLOURS[number % COLOURS.len()];
    let dashes = if number < COLOURS.len() {
        "none"
    } else {
        "5 3"
    };
    let points: Vec<_> = curve
        .points
        .iter()
        .map(|(nines, value)| format!("{:.1},{:.1}", frame.x(*nines), frame.y(*value)))
        .collect();
    let (x, y) = (WIDTH - RIGHT + 14.0, TOP + 12.0 + 19.0 * number as f64);
    writeln!(
        svg,
        "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" stroke-dasharray=\"{dashes}\" \
         points=\"{}\"/>",
        points.join(" ")
    )?;
    writeln!(
        svg,
        "<path d=\"M{x} {}h18\" stroke=\"{colour}\" stroke-width=\"3\" stroke-dasharray=\"{dashes}\"/>\
         <text x=\"{}\" y=\"{y}\">{}</text>",
        y - 4.0,
        x + 24.0,
        escaped(&curve.label)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
