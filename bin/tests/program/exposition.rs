//! Prometheus' text format 0.0.4, read strictly: what a lenient reader lets pass is an error here.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a sample.
pub type Labels = BTreeMap<String, String>;

/// All metrics of one name.
#[derive(Debug)]
pub struct Family {
    pub kind: String,
    /// The name of the sample, its labels and its value.
    pub samples: Vec<(String, Labels, f64)>,
}

/// The families by name.
#[derive(Debug)]
pub struct Scrape(pub BTreeMap<String, Family>);

impl Scrape {
    /// Reads it; what is wrong with it, if it is not as the format says.
    pub fn read(text: &str) -> Result<Self, String> {
        if !text.ends_with('\n') || text.contains("\n\n") || text.contains('\r') {
            return Err("each line ends in one line feed, and none is empty".into());
        }
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current: Option<String> = None;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').ok_or("HELP without a text")?;
                if help.trim().is_empty() || !is_name(name) {
                    return Err(format!("{line:?} helps nobody"));
                }
                let kind = lines
                    .next()
                    .and_then(|line| line.strip_prefix(&format!("# TYPE {name} ")))
                    .ok_or(format!("no TYPE follows the HELP of {name}"))?;
                if !["counter", "gauge", "histogram"].contains(&kind) {
                    return Err(format!("{name} is a {kind}"));
                }
                let family = Family {
                    kind: kind.to_owned(),
                    samples: Vec::new(),
                };
                if families.insert(name.to_owned(), family).is_some() {
                    return Err(format!("{name} is there twice"));
                }
                current = Some(name.to_owned());
                continue;
            }
            let sample = sample(line)?;
            let name = current.as_ref().ok_or("a sample of no family")?;
            let family = families.get_mut(name).ok_or("a sample of no family")?;
            let suffix = sample.0.strip_prefix(name.as_str());
            let fits = match family.kind.as_str() {
                "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
                _ => suffix == Some(""),
            };
            if !fits {
                return Err(format!("{line:?} stands among the samples of {name}"));
            }
            family.samples.push(sample);
        }
        for (name, family) in &families {
            check(name, family)?;
        }
        Ok(Scrape(families))
    }

    /// The value of the sample of this name with these labels and no others.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found = self.samples().find(|(of, found, _)| {
            let labels = labels.iter().map(|(name, value)| (*name, *value));
            let found = found
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            of == name && found.collect::<BTreeSet<_>>() == labels.collect()
        });
        found.unwrap_or_else(|| panic!("no {name} {labels:?}")).2
    }

    pub fn samples(&self) -> impl Iterator<Item = &(String, Labels, f64)> {
        self.0.values().flat_map(|family| &family.samples)
    }

    /// The names and labels of all samples.
    pub fn series(&self) -> BTreeSet<(String, Labels)> {
        let series = self
            .samples()
            .map(|(name, labels, _)| (name.clone(), labels.clone()));
        series.collect()
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_part)
        && name
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit())
}

/// `name{label="value",…} number`
fn sample(line: &str) -> Result<(String, Labels, f64), String> {
    let wrong = |what: &str| format!("{line:?}: {what}");
    let (series, value) = line.rsplit_once(' ').ok_or_else(|| wrong("no value"))?;
    let value: f64 = value.parse().map_err(|_| wrong("no number"))?;
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, rest)) => {
            let labels = rest.strip_suffix('}').ok_or_else(|| wrong("no }"))?;
            (name, labels)
        }
    };
    if !is_name(name) || !value.is_finite() {
        return Err(wrong("no name, or no finite number"));
    }
    let mut found = Labels::new();
    for label in labels.split_terminator(',') {
        let (label, value) = label
            .split_once('=')
            .ok_or_else(|| wrong("a label without ="))?;
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        let value = value.ok_or_else(|| wrong("a value without quotes"))?;
        if !is_name(label) || label.starts_with("__") || value.contains(['"', '\\']) {
            return Err(wrong("a bad label"));
        }
        if found.insert(label.to_owned(), value.to_owned()).is_some() {
            return Err(wrong("a label twice"));
        }
    }
    Ok((name.to_owned(), found, value))
}

fn check(name: &str, family: &Family) -> Result<(), String> {
    let is_counter = family.kind == "counter";
    if is_counter != name.ends_with("_total") {
        return Err(format!(
            "{name}, a {}: only counters end in _total",
            family.kind
        ));
    }
    if family.samples.is_empty() {
        return Err(format!("{name} has no samples"));
    }
    let mut seen = BTreeSet::new();
    for (of, labels, value) in &family.samples {
        if !seen.insert((of, labels)) {
            return Err(format!("{of} {labels:?} is there twice"));
        }
        if family.kind != "gauge" && *value < 0.0 {
            return Err(format!("{of} is negative"));
        }
    }
    if family.kind == "histogram" {
        check_histogram(name, family)?;
    }
    Ok(())
}

/// One without labels of its own.
fn check_histogram(name: &str, family: &Family) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{name}: {what}"));
    let of = |what: &str| {
        let name = format!("{name}{what}");
        family.samples.iter().filter(move |(of, ..)| *of == name)
    };
    let mut buckets = Vec::new();
    for (_, labels, count) in of("_bucket") {
        let Some(bound) = labels.get("le").filter(|_| labels.len() == 1) else {
            return wrong("a bucket without le");
        };
        let bound = match bound.as_str() {
            "+Inf" => f64::INFINITY,
            bound => bound.parse().map_err(|_| format!("{name}: le={bound}"))?,
        };
        buckets.push((bound, *count));
    }
    if !buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1) {
        return wrong("buckets are not cumulative");
    }
    let (sums, counts): (Vec<_>, Vec<_>) = (of("_sum").collect(), of("_count").collect());
    let ([(_, none, _)], [(_, neither, count)]) = (sums.as_slice(), counts.as_slice()) else {
        return wrong("it has one _sum and one _count");
    };
    if !none.is_empty() || !neither.is_empty() || buckets.last() != Some(&(f64::INFINITY, *count)) {
        return wrong("the last bucket is that of all");
    }
    Ok(())
}

#[test]
fn what_is_not_as_the_format_says_is_refused() {
    let good =
        "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"c\"} 1\na_total{b=\"d\"} 2.5\n";
    let scrape = Scrape::read(good).unwrap();
    assert_eq!(scrape.value("a_total", &[("b", "d")]), 2.5);
    let histogram = "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n";
    Scrape::read(histogram).unwrap();
    for (text, from, to) in [
        (good, "2.5\n", "2.5"),
        (good, "2.5\n", "2.5\n\n"),
        (good, "HELP a_total A.", "HELP a_total "),
        (good, "# TYPE a_total counter\n", ""),
        (good, "counter", "gauge"),
        (good, "counter", "something"),
        (good, "b=\"d\"", "b=\"c\""),
        (good, "b=\"d\"", "b=d"),
        (good, "b=\"d\"", "b=\"d\",b=\"e\""),
        (good, "2.5", "x"),
        (good, "2.5", "-1"),
        (good, "a_total{b=\"d\"}", "b_total{b=\"d\"}"),
        (good, "a_total{b=\"d\"}", "0_total"),
        (histogram, "0.5\"} 1", "0.5\"} 3"),
        (histogram, "0.5\"} 1", "0.5\"} 1\nh_bucket{le=\"0.25\"} 1"),
        (histogram, "h_count 2", "h_count 3"),
        (histogram, "h_sum 3\n", ""),
        (histogram, "h_bucket{le=\"+Inf\"} 2\n", ""),
        (histogram, "h_sum", "h"),
    ] {
        let text = text.replacen(from, to, 1);
        assert!(Scrape::read(&text).is_err(), "{text}");
    }
    let twice = good.repeat(2);
    assert!(Scrape::read(&twice).is_err());
}
