//! Which entity acts next: all with equal probability, or a few much more often than the rest (Zipf's law).

use fastrand::Rng;

/// Picks one of many.
#[derive(Debug)]
pub(super) struct Picker {
    /// The cumulative weights; empty if all weights are equal.
    sums: Vec<f64>,
    count: u32,
}

impl Picker {
    /// Picks one of `count`, the k-th with the weight `1 / k^exponent`. An exponent of 0 makes all weights equal.
    pub(super) fn new(count: u32, exponent: f64) -> Picker {
        let count = count.max(1);
        if exponent == 0.0 {
            return Picker { sums: Vec::new(), count };
        }
        let mut sum = 0.0;
        let weigh = |rank: u32| {
            sum += f64::from(rank).powf(-exponent);
            sum
        };
        Picker { sums: (1..=count).map(weigh).collect(), count }
    }

    /// Whether all weights are equal.
    pub(super) fn is_even(&self) -> bool {
        self.sums.is_empty()
    }

    /// How many there are to pick from.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Picks a number from 1 to the count.
    pub(super) fn pick(&self, random: &mut Rng) -> u32 {
        let Some(total) = self.sums.last() else { return random.u32(1..=self.count) };
        let at = random.f64() * total;
        let below = self.sums.partition_point(|sum| *sum <= at);
        u32::try_from(below).unwrap_or(u32::MAX).saturating_add(1).min(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(exponent: f64) -> Vec<usize> {
        let (picker, mut random) = (Picker::new(4, exponent), Rng::with_seed(7));
        let picked: Vec<u32> = (0..12_000).map(|_| picker.pick(&mut random)).collect();
        (1..=4).map(|rank| picked.iter().filter(|pick| **pick == rank).count()).collect()
    }

    #[test]
    fn an_exponent_makes_the_first_as_much_more_frequent_as_zipf_says() {
        // 12,000 of weights 1, 1/2, 1/3, 1/4, which sum to 25/12: 5760, 2880, 1920, 1440.
        for (found, expected) in picks(1.0).into_iter().zip([5760_usize, 2880, 1920, 1440]) {
            assert!(found.abs_diff(expected) < 200, "{found} instead of {expected}");
        }
        assert!(picks(0.0).iter().all(|found| found.abs_diff(3000) < 200), "{:?}", picks(0.0));
    }
}
