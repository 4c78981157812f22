//! What a running server says about itself at `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::Outcome;

/// The samples of one moment.
#[derive(Debug, Clone, Default)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Asks the server.
    pub async fn of(address: SocketAddr) -> Outcome<Self> {
        let answer = reqwest::get(format!("http://{address}/metrics")).await?;
        Ok(Self::parse(&answer.error_for_status()?.text().await?))
    }

    /// The samples of this metric that have grown since `earlier`, by how much, with their labels as they are written.
    pub fn growth<'a>(
        &'a self,
        earlier: &'a Self,
        metric: &str,
    ) -> impl Iterator<Item = (&'a str, f64)> {
        let prefix = format!("{metric}{{");
        self.0.iter().filter_map(move |(series, value)| {
            let labels = series.strip_prefix(&prefix)?.strip_suffix('}')?;
            let before = earlier.0.get(series).copied().unwrap_or(0.0);
            (value > &before).then_some((labels, value - before))
        })
    }

    /// The sample of a metric without labels.
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.0.get(metric).copied()
    }

    /// The Prometheus text format, of which nothing but the lines `series value` matters here.
    fn parse(text: &str) -> Self {
        let samples = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Self(samples.collect())
    }
}

/// The value of a label among others: `code="VALID",keyspace="default"`.
pub fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels.split(',').find_map(|label| {
        let (key, value) = label.split_once('=')?;
        (key == name).then(|| value.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_grown_is_told_by_label() {
        let earlier = Metrics::parse("# TYPE n counter\nn{a=\"x\",b=\"y\"} 3\nn{a=\"z\"} 1\nm 5\n");
        let later = Metrics::parse("n{a=\"x\",b=\"y\"} 5\nn{a=\"z\"} 1\nm 9\n");
        assert_eq!((later.value("m"), later.value("n")), (Some(9.0), None));
        let growth: Vec<_> = later.growth(&earlier, "n").collect();
        assert_eq!(growth, [("a=\"x\",b=\"y\"", 2.0)]);
        assert_eq!(label(growth[0].0, "b"), Some("y"));
        assert_eq!(label(growth[0].0, "c"), None);
    }
}
