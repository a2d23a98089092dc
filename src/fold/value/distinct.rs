//! How many different values there are: their hashes up to a limit, and above it a HyperLogLog.
//!
//! Written here because the crates for it have no serialized form that they promise to keep, and because an estimate must be the same on
//! every machine: it is made of additions, multiplications and square roots only, which IEEE 754 rounds in one way, unlike logarithms.
//! The estimator is algorithm 6 of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017).

use std::collections::BTreeSet;

use crate::decimal::Decimal;
use crate::ledger::{Damaged, Reader, Writer};

/// Different values.
#[derive(Debug, Clone, Eq)]
pub(in crate::fold) struct Distinct {
    /// Up to this many hashes are kept.
    exact: u16,
    seen: Seen,
}

/// The limit is the measure's, which is stored once for all groups: the greatest of all generations of the pipeline.
impl PartialEq for Distinct {
    fn eq(&self, other: &Distinct) -> bool {
        self.seen == other.seen
    }
}

/// What is kept of the hashes. Only their set decides which of the two it is, so merging in any order gives the same.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// All of them.
    Hashes(BTreeSet<u64>),
    /// For each register the highest rank of its hashes, 0 without any.
    Registers(Box<[u8]>),
}

/// 2,048 registers have a standard error of 1.04 / sqrt(2048) = 2.3 %.
const INDEX_BITS: u32 = 11;
const REGISTERS: usize = 1 << INDEX_BITS;
/// The highest rank: that of a hash whose other bits are all 0.
const HIGHEST: usize = 65 - 11;

const HASHES: u8 = 0;
const HLL: u8 = 1;

impl Distinct {
    pub(super) fn new(exact: u16) -> Distinct {
        Distinct { exact, seen: Seen::Hashes(BTreeSet::new()) }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.seen, Seen::Hashes(hashes) if hashes.is_empty())
    }

    pub(super) fn insert(&mut self, hash: u64) {
        match &mut self.seen {
            Seen::Hashes(hashes) => {
                hashes.insert(hash);
            }
            Seen::Registers(registers) => raise(registers, hash),
        }
        self.limit();
    }

    pub(super) fn merge(&mut self, other: &Distinct) {
        self.exact = self.exact.max(other.exact);
        match (&mut self.seen, &other.seen) {
            (Seen::Hashes(hashes), Seen::Hashes(others)) => hashes.extend(others),
            (Seen::Registers(registers), Seen::Hashes(others)) => {
                others.iter().for_each(|hash| raise(registers, *hash));
            }
            (Seen::Registers(registers), Seen::Registers(others)) => {
                registers.iter_mut().zip(others).for_each(|(rank, other)| *rank = (*rank).max(*other));
            }
            (Seen::Hashes(hashes), Seen::Registers(others)) => {
                let mut registers = others.clone();
                hashes.iter().for_each(|hash| raise(&mut registers, *hash));
                self.seen = Seen::Registers(registers);
            }
        }
        self.limit();
    }

    /// Keeps no more hashes than the limit.
    fn limit(&mut self) {
        if let Seen::Hashes(hashes) = &self.seen
            && hashes.len() > usize::from(self.exact)
        {
            let mut registers = vec![0; REGISTERS];
            hashes.iter().for_each(|hash| raise(&mut registers, *hash));
            self.seen = Seen::Registers(registers.into());
        }
    }

    /// How many different values there are, exactly or as an estimate.
    pub(in crate::fold) fn count(&self) -> Decimal {
        match &self.seen {
            Seen::Hashes(hashes) => i64::try_from(hashes.len()).unwrap_or(i64::MAX).into(),
            Seen::Registers(registers) => Decimal::parse(&format!("{:.0}", estimate(registers))).unwrap_or_default(),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match &self.seen {
            Seen::Hashes(hashes) => {
                writer.byte(HASHES);
                writer.size(hashes.len());
                hashes.iter().for_each(|hash| writer.raw(&hash.to_be_bytes()));
            }
            Seen::Registers(registers) => {
                writer.byte(HLL);
                writer.raw(registers);
            }
        }
    }

    pub(super) fn read(exact: u16, reader: &mut Reader<'_>) -> Result<Distinct, Damaged> {
        let seen = match reader.byte()? {
            HASHES => {
                let count = reader.count()?;
                Seen::Hashes((0..count).map(|_| reader.hash()).collect::<Result<_, _>>()?)
            }
            HLL => Seen::Registers(reader.raw(REGISTERS)?.into()),
            _ => return Err(Damaged("a newer release wrote it: it has an unknown sketch")),
        };
        Ok(Distinct { exact, seen })
    }
}

/// The first bits of a hash choose its register, and the zeros after them are its rank.
fn raise(registers: &mut [u8], hash: u64) {
    let index = usize::try_from(hash >> (u64::BITS - INDEX_BITS)).unwrap_or_default();
    // The bit behind the hash ends a row of zeros.
    let rest = hash << INDEX_BITS | 1 << (INDEX_BITS - 1);
    let rank = u8::try_from(rest.leading_zeros() + 1).unwrap_or(u8::MAX);
    if let Some(register) = registers.get_mut(index) {
        *register = (*register).max(rank);
    }
}

/// Ertl's improved estimate.
fn estimate(registers: &[u8]) -> f64 {
    /// 1 / (2 ln 2).
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    const M: f64 = 2048.0;
    let mut counts = [0_u32; HIGHEST + 1];
    for rank in registers {
        if let Some(count) = counts.get_mut(usize::from(*rank).min(HIGHEST)) {
            *count += 1;
        }
    }
    let [zeros, middle @ .., highest] = counts;
    let mut z = M * tau(1.0 - f64::from(highest) / M);
    for count in middle.iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += M * sigma(f64::from(zeros) / M);
    ALPHA * M * M / z
}

fn sigma(mut x: f64) -> f64 {
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        // Without any hash, the sum has no end: infinite, and the estimate 0.
        if z.to_bits() == before.to_bits() || !z.is_finite() {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z.to_bits() == before.to_bits() {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash(number: u64) -> u64 {
        u64::from_be_bytes(*blake3::hash(&number.to_be_bytes()).as_bytes().first_chunk().unwrap())
    }

    fn of(exact: u16, numbers: impl IntoIterator<Item = u64>) -> Distinct {
        let mut distinct = Distinct::new(exact);
        numbers.into_iter().for_each(|number| distinct.insert(hash(number)));
        distinct
    }

    proptest! {
        /// Also of sets that cross the limit.
        #[test]
        fn children_merge_to_what_records_give_in_any_order(
            sets in proptest::collection::vec(proptest::collection::vec(0..60_u64, 0..30), 1..5), order: u64,
        ) {
            let whole = of(20, sets.iter().flatten().copied());
            let mut children: Vec<Distinct> = sets.into_iter().map(|set| of(20, set)).collect();
            fastrand::Rng::with_seed(order).shuffle(&mut children);
            let mut merged = Distinct::new(20);
            children.iter().for_each(|child| merged.merge(child));
            prop_assert_eq!(&merged, &whole);
            let mut writer = Writer::default();
            merged.write(&mut writer);
            let mut reader = Reader::new(writer.written());
            prop_assert_eq!((Distinct::read(20, &mut reader), reader.is_at_end()), (Ok(merged), true));
        }
    }

    #[test]
    fn up_to_the_limit_it_is_exact() {
        assert_eq!(of(256, (0..256).chain(0..256)).count(), Decimal::from(256));
        assert!(matches!(of(256, 0..256).seen, Seen::Hashes(_)));
        assert!(matches!(of(256, 0..257).seen, Seen::Registers(_)));
    }

    #[test]
    fn an_estimate_has_the_stated_error() {
        let mut squares = 0.0;
        let runs: Vec<(u64, u64)> = [257, 1_000, 5_000, 20_000, 100_000]
            .into_iter()
            .flat_map(|count| (0..12).map(move |run| (count, run)))
            .collect();
        for (count, run) in &runs {
            let found = of(256, (0..*count).map(|number| number + run * 1_000_000_000)).count().to_f64();
            let error = found / u32::try_from(*count).map(f64::from).unwrap() - 1.0;
            assert!(error.abs() < 4.0 * 0.023, "{count}: {error}");
            squares += error * error;
        }
        let standard = (squares / 60.0_f64).sqrt();
        assert!(standard < 0.023 * 1.2, "the standard error is {standard}");
        assert_eq!(runs.len(), 60);
    }

    /// A limit that docs/security.md states: the hash has no secret, so whoever chooses values also chooses their hashes.
    #[test]
    fn chosen_values_are_exact_up_to_the_limit_and_make_an_estimate_as_wrong_as_they_like() {
        let counted = |exact: u16, hashes: &mut dyn Iterator<Item = u64>| {
            let mut distinct = Distinct::new(exact);
            hashes.for_each(|hash| distinct.insert(hash));
            distinct.count().to_f64()
        };
        // All in register 0 with rank 1: one in 4,096 values is like that.
        let unnoticed = |number: u64| 1 << 52 | number;
        assert!((counted(256, &mut (0..256).map(unnoticed)) - 256.0).abs() < 0.5);
        assert!(counted(256, &mut (0..257).map(unnoticed)) < 10.0);
        assert!((counted(10_000, &mut (0..10_000).map(unnoticed)) - 10_000.0).abs() < 0.5);
        // One in each register with rank 20.
        assert!(counted(256, &mut (0..2_048_u64).map(|register| register << 53 | 1 << 33)) > 1e9);
    }

    #[test]
    fn the_extremes_of_an_estimate_are_numbers() {
        assert_eq!(format!("{:.0}", estimate(&[0; REGISTERS])), "0");
        assert!(estimate(&[54; REGISTERS]).is_infinite());
        let mut all = Distinct::new(0);
        [0, u64::MAX].into_iter().for_each(|hash| all.insert(hash));
        assert_eq!(all.count(), Decimal::from(2));
    }

    #[test]
    fn an_estimate_has_the_series_of_the_paper() {
        let near = |found: f64, exact: f64| assert!((found - exact).abs() < 1e-9 * exact, "{found} and {exact}");
        for x in [0.001, 0.1, 0.5, 0.75, 0.99] {
            let terms = (1..60).map(|k| (1.0 - f64::powf(x, 0.5_f64.powi(k))).powi(2) * 0.5_f64.powi(k));
            near(tau(x), (1.0 - x - terms.sum::<f64>()) / 3.0);
            near(sigma(x), x + (1..20).map(|k| f64::powf(x, 2.0_f64.powi(k)) * 2.0_f64.powi(k - 1)).sum::<f64>());
        }
        assert_eq!([tau(0.0), tau(1.0)].map(f64::to_bits), [0, 0]);
    }

    /// Registers as 2^63 hashes leave them: two in five have the highest rank.
    #[test]
    fn an_estimate_is_right_where_ranks_end() {
        let each = 2.0_f64.powi(52);
        let rank = |register: u32| {
            let share = (f64::from(register) + 0.5) / 2048.0;
            let rank = (each / -share.ln()).log2().ceil().min(54.0);
            (1..=54).find(|whole| f64::from(*whole) >= rank).unwrap()
        };
        let registers: Vec<u8> = (0..2048).map(rank).collect();
        assert!((700..900).contains(&registers.iter().filter(|rank| **rank == 54).count()));
        let found = estimate(&registers) / (each * 2048.0);
        assert!((found - 1.0).abs() < 0.01, "{found}");
    }
}
