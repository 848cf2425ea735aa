//! How good a call was over time, in a few points. With more of them every second one goes.

use std::time::Duration;

use relay_call::{Figure, Tally};
use serde::Serialize;

/// Points of one line.
const MOST_POINTS: usize = 60;
/// Lines of one call: it has two interfaces, more by transfers.
const MOST_LINES: usize = 4;

/// The lines of a call, one for each interface.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Sparklines(Vec<Sparkline>);

/// What was judged of those behind one interface.
#[derive(Clone, Debug, Serialize)]
struct Sparkline {
    interface: String,
    /// Seconds since the call began, ten times the score, loss in per cent, jitter in milliseconds.
    points: Vec<[u32; 4]>,
    #[serde(skip)]
    spacing: u32,
}

impl Sparklines {
    /// Whether nothing was judged.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last score, times ten, of the interface that sounds worst.
    pub fn worst(&self) -> Option<u32> {
        let last = self.0.iter().filter_map(|line| line.points.last());
        last.map(|point| point[1]).min()
    }

    /// Takes in what came about an interface since the last time.
    pub fn note(&mut self, interface: &str, after: Duration, news: &Tally) {
        let scores = news.of(Figure::Mos);
        if scores.count == 0 {
            return;
        }
        let known = self.0.iter().position(|line| line.interface == interface);
        let position = match known {
            Some(position) => position,
            None if self.0.len() == MOST_LINES => return,
            None => {
                self.0.push(Sparkline {
                    interface: interface.to_owned(),
                    points: Vec::new(),
                    spacing: 0,
                });
                self.0.len() - 1
            }
        };
        let whole = |value: f64| value.round().clamp(0.0, f64::from(u32::MAX)) as u32;
        self.0[position].push([
            u32::try_from(after.as_secs()).unwrap_or(u32::MAX),
            whole(scores.average() * 10.0),
            whole(news.of(Figure::PacketLoss).average()),
            whole(news.of(Figure::JitterMeasured).average()),
        ]);
    }
}

impl Sparkline {
    fn push(&mut self, point: [u32; 4]) {
        let last = self.points.last().map(|last| last[0]);
        if last.is_some_and(|last| point[0].saturating_sub(last) < self.spacing) {
            return;
        }
        if self.points.len() == MOST_POINTS {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.spacing = (self.spacing * 2).max(10);
        }
        self.points.push(point);
    }
}

#[cfg(test)]
mod tests {
    use relay_call::Samples;

    use super::*;

    fn news(score: f64) -> Tally {
        let mut news = Tally::default();
        news.samples[Figure::Mos as usize] = Samples {
            total: score * 2.0,
            squares: 0.0,
            count: 2,
        };
        news
    }

    #[test]
    fn a_long_call_has_no_more_points_than_a_short_one_and_keeps_its_beginning() {
        let interface = "pub";
        let mut lines = Sparklines::default();
        lines.note(interface, Duration::ZERO, &Tally::default());
        assert!(lines.is_empty());
        for second in (0..36_000).step_by(5) {
            lines.note(interface, Duration::from_secs(second), &news(4.2));
        }
        let points = &lines.0[0].points;
        assert!((MOST_POINTS / 2..=MOST_POINTS).contains(&points.len()));
        assert_eq!(points[0], [0, 42, 0, 0]);
        assert!(points.last().unwrap()[0] > 30_000);
    }

    #[test]
    fn the_worst_interface_counts_and_there_are_few() {
        let mut lines = Sparklines::default();
        for (name, score) in [("a", 4.3), ("b", 2.0), ("c", 4.0), ("d", 4.0), ("e", 1.0)] {
            lines.note(name, Duration::from_secs(5), &news(score));
        }
        assert_eq!(lines.worst(), Some(20));
        assert_eq!(lines.0.len(), MOST_LINES);
    }
}
