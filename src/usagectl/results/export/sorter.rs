//! Sorts rows in bounded memory: DynamoDB's scan returns them in no order. What doesn't fit is sorted in runs, which are kept in
//! temporary files and merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Lines, Seek, Write};

use anyhow::Context;

use super::row::UsageRow;

/// 100,000 rows: about 50 MB of memory.
pub(super) const MOST_ROWS: usize = 100_000;

/// Collects rows in any order.
#[derive(Debug)]
pub(super) struct Sorter {
    most: usize,
    rows: Vec<UsageRow>,
    runs: Vec<File>,
}

impl Sorter {
    /// Holds at most `most` rows in memory.
    pub(super) fn new(most: usize) -> Sorter {
        Sorter { most, rows: Vec::new(), runs: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If a temporary file can't be written.
    pub(super) fn push(&mut self, row: UsageRow) -> anyhow::Result<()> {
        self.rows.push(row);
        if self.rows.len() >= self.most { self.spill().context("write a temporary file") } else { Ok(()) }
    }

    /// Writes the rows in memory to a file without a name, which disappears with this process.
    fn spill(&mut self) -> anyhow::Result<()> {
        self.rows.sort_unstable();
        let mut file = BufWriter::new(tempfile::tempfile()?);
        for row in self.rows.drain(..) {
            serde_json::to_writer(&mut file, &row)?;
            file.write_all(b"\n")?;
        }
        let mut file = file.into_inner()?;
        file.rewind()?;
        self.runs.push(file);
        Ok(())
    }

    /// The rows in their order.
    ///
    /// # Errors
    /// If a temporary file can't be read.
    pub(super) fn sorted(mut self) -> anyhow::Result<Sorted> {
        self.rows.sort_unstable();
        let mut sources: Vec<Source> =
            self.runs.into_iter().map(|run| Source::File(BufReader::new(run).lines())).collect();
        sources.push(Source::Memory(self.rows.into_iter()));
        let mut sorted = Sorted { next: BinaryHeap::new(), sources };
        for place in 0..sorted.sources.len() {
            sorted.advance(place)?;
        }
        Ok(sorted)
    }
}

/// Rows in their order.
#[derive(Debug)]
enum Source {
    Memory(std::vec::IntoIter<UsageRow>),
    File(Lines<BufReader<File>>),
}

impl Source {
    fn next(&mut self) -> anyhow::Result<Option<UsageRow>> {
        match self {
            Source::Memory(rows) => Ok(rows.next()),
            Source::File(lines) => match lines.next() {
                Some(line) => Ok(Some(serde_json::from_str(&line?)?)),
                None => Ok(None),
            },
        }
    }
}

/// All rows in their order.
#[derive(Debug)]
pub(super) struct Sorted {
    /// The next row of each source that has one.
    next: BinaryHeap<Reverse<(UsageRow, usize)>>,
    sources: Vec<Source>,
}

impl Sorted {
    fn advance(&mut self, place: usize) -> anyhow::Result<()> {
        if let Some(source) = self.sources.get_mut(place) {
            let row = source.next().context("read a temporary file")?;
            self.next.extend(row.map(|row| Reverse((row, place))));
        }
        Ok(())
    }
}

impl Iterator for Sorted {
    type Item = anyhow::Result<UsageRow>;

    fn next(&mut self) -> Option<anyhow::Result<UsageRow>> {
        let Reverse((row, place)) = self.next.pop()?;
        Some(self.advance(place).map(|()| row))
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    #[test]
    fn rows_that_dont_fit_into_memory_are_merged_in_their_order() {
        for rows in [0, 1, 9, 10, 11, 95] {
            let mut random = fastrand::Rng::with_seed(rows);
            let mut sorter = Sorter::new(10);
            let mut expected = Vec::new();
            for _ in 0..rows {
                let row = row(&random.u8(..).to_string(), "line\nbreak", "tokens", "1.5");
                expected.push(row.clone());
                sorter.push(row).unwrap();
            }
            expected.sort();
            let sorted: Vec<UsageRow> = sorter.sorted().unwrap().map(Result::unwrap).collect();
            assert_eq!(sorted, expected);
        }
    }
}
