//! What many short rounds say together.

use std::fmt;

/// The median of some figures, and how far the rest lie around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// A quarter is below.
    pub lower: f64,
    /// Half are below.
    pub median: f64,
    /// A quarter is above.
    pub upper: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of at least one figure, else everything is not a number.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            min: between(&sorted, 0.0),
            lower: between(&sorted, 0.25),
            median: between(&sorted, 0.5),
            upper: between(&sorted, 0.75),
            max: between(&sorted, 1.0),
        }
    }
}

/// `1.08 (1.02 … 1.06–1.11 … 1.20)`: median, least, quartiles, greatest; as many decimals as the format asks for.
impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = out.precision().unwrap_or(2);
        write!(
            out,
            "{:.decimals$} ({:.decimals$} … {:.decimals$}–{:.decimals$} … {:.decimals$})",
            self.median, self.min, self.lower, self.upper, self.max
        )
    }
}

/// The median of at least one figure, else not a number.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    Spread::of(figures).median
}

/// What this share of at least one figure is below, else not a number.
pub fn quantile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    between(&sorted, share)
}

/// Between the two nearest figures, in proportion.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position in a list that fits into memory, never negative"
)]
fn between(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = last as f64 * share;
    let (below, above) = (position.floor(), position.ceil());
    let (low, high) = (sorted[below as usize], sorted[above as usize]);
    low + (high - low) * (position - below)
}

/// Which of `count` things comes first, second, … in this round: each is first equally often, so that none always
/// runs after the same other.
pub fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + round) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_taken_between_the_figures() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!(spread.to_string(), "2.50 (1.00 … 1.75–3.25 … 4.00)");
        assert_eq!(
            format!("{:.0}", Spread::of([7.0])),
            "7 (7 … 7–7 … 7)".to_owned()
        );
        assert!(Spread::of([]).median.is_nan());
    }

    #[test]
    fn everything_is_first_once() {
        let orders: Vec<Vec<usize>> = (0..3).map(|round| order(round, 3).collect()).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    }
}
