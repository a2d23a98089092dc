//! How far each shard has been read: durable, monotone, and bound to one stream by its ARN, label included.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::source::Position;
use crate::write_whole;
use stream_types::SequenceNumber;
use stream_types::Timestamp;

/// How many earlier states are remembered, for going back to one on purpose.
const REMEMBERED: usize = 64;

/// The version of the file's format.
const VERSION: u32 = 1;

/// Where a shard goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checkpoint {
    TrimHorizon,
    Latest,
    AtTimestamp(i64),
    At(String),
    After(String),
    /// Read to its end.
    End,
}

/// What every version of the file begins with.
#[derive(Deserialize)]
struct Header {
    version: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    version: u32,
    stream_arn: String,
    mapping_uuid: String,
    shards: BTreeMap<String, Checkpoint>,
}

/// The checkpoints of one mapping of one stream, in a file or in memory.
#[derive(Debug)]
pub struct Checkpoints {
    file: Option<PathBuf>,
    state: State,
    earlier: VecDeque<BTreeMap<String, Checkpoint>>,
}

impl Checkpoints {
    /// Nothing read yet, and nothing remembered when this is dropped.
    pub fn in_memory(stream_arn: &str, mapping_uuid: &str) -> Checkpoints {
        let (stream_arn, mapping_uuid) = (stream_arn.to_owned(), mapping_uuid.to_owned());
        let state = State { version: VERSION, stream_arn, mapping_uuid, shards: BTreeMap::new() };
        Checkpoints { file: None, state, earlier: VecDeque::new() }
    }

    /// Goes on from `file`, if it is of this very stream; a stream that was switched off and on is another one, which
    /// starts afresh.
    ///
    /// # Errors
    /// When the file can't be read, or isn't one of ours: then it is not overwritten.
    pub fn open(file: &Path, stream_arn: &str, new_uuid: &str) -> anyhow::Result<Checkpoints> {
        let mut checkpoints = Checkpoints::in_memory(stream_arn, new_uuid);
        checkpoints.file = Some(file.to_owned());
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(checkpoints),
            Err(error) => return Err(error).with_context(|| format!("read the checkpoints {}", file.display())),
        };
        let damaged = || format!("failed to read the checkpoint file {}: delete it to start over", file.display());
        let Header { version } = serde_json::from_str(&text).with_context(damaged)?;
        if version != VERSION {
            bail!(
                "the checkpoint file {} has format version {version}, but this program reads version {VERSION}: \
                 run a newer version of this program, or delete the file to start over",
                file.display()
            );
        }
        let state: State = serde_json::from_str(&text).with_context(damaged)?;
        if state.stream_arn == stream_arn {
            checkpoints.state = state;
        } else {
            checkpoints.state.mapping_uuid = state.mapping_uuid;
            tracing::warn!(was = state.stream_arn, is = stream_arn, "another stream: its checkpoints start afresh");
        }
        Ok(checkpoints)
    }

    /// The same places, which are then forgotten.
    pub fn copy_in_memory(&self) -> Checkpoints {
        Checkpoints { file: None, state: self.state.clone(), earlier: VecDeque::new() }
    }

    /// The mapping's own id, which stays the same over restarts.
    pub fn mapping_uuid(&self) -> &str {
        &self.state.mapping_uuid
    }

    /// Whether no shard has ever been met.
    pub fn is_empty(&self) -> bool {
        self.state.shards.is_empty()
    }

    pub fn of(&self, shard: &str) -> Option<&Checkpoint> {
        self.state.shards.get(shard)
    }

    pub fn is_finished(&self, shard: &str) -> bool {
        self.of(shard) == Some(&Checkpoint::End)
    }

    /// Moves a shard's checkpoint, never back.
    ///
    /// # Errors
    /// When it can't be written down.
    pub fn set(&mut self, shard: &str, to: Checkpoint) -> anyhow::Result<()> {
        let before = self.state.shards.get(shard);
        if before == Some(&to) || before.is_some_and(|before| before.is_beyond(&to)) {
            return Ok(());
        }
        if self.earlier.len() == REMEMBERED {
            self.earlier.pop_front();
        }
        self.earlier.push_back(self.state.shards.clone());
        self.state.shards.insert(shard.to_owned(), to);
        self.save()
    }

    /// Goes back to what the checkpoints were `steps` changes ago, as a mapping does that has lost its latest ones.
    pub fn rewind(&mut self, steps: usize) -> anyhow::Result<()> {
        for _ in 0..steps {
            let Some(earlier) = self.earlier.pop_back() else { break };
            // A shard that has been met stays met.
            if !earlier.is_empty() {
                self.state.shards = earlier;
            }
        }
        self.save()
    }

    fn save(&self) -> anyhow::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        write_whole(file, &serde_json::to_string_pretty(&self.state)?)
    }
}

impl Checkpoint {
    /// Where to read on; `None` at the end.
    pub fn position(&self) -> Option<Position> {
        match self {
            Checkpoint::TrimHorizon => Some(Position::TrimHorizon),
            Checkpoint::Latest => Some(Position::Latest),
            Checkpoint::AtTimestamp(micros) => Timestamp::from_micros(*micros).map(Position::AtTimestamp),
            Checkpoint::At(sequence) => SequenceNumber::parse(sequence.clone()).map(Position::At),
            Checkpoint::After(sequence) => SequenceNumber::parse(sequence.clone()).map(Position::After),
            Checkpoint::End => None,
        }
    }

    fn is_beyond(&self, other: &Checkpoint) -> bool {
        match (self, other) {
            (Checkpoint::End, _) => true,
            (Checkpoint::After(a), Checkpoint::After(b)) => {
                SequenceNumber::parse(a.as_str()).partial_cmp(&SequenceNumber::parse(b.as_str()))
                    == Some(std::cmp::Ordering::Greater)
            }
            (Checkpoint::After(_), Checkpoint::End) => false,
            (Checkpoint::After(_), _) => true,
            _ => false,
        }
    }
}

impl From<&Position> for Checkpoint {
    fn from(position: &Position) -> Checkpoint {
        match position {
            Position::TrimHorizon => Checkpoint::TrimHorizon,
            Position::Latest => Checkpoint::Latest,
            Position::AtTimestamp(time) => Checkpoint::AtTimestamp(time.micros()),
            Position::At(sequence) => Checkpoint::At(sequence.as_str().to_owned()),
            Position::After(sequence) => Checkpoint::After(sequence.as_str().to_owned()),
        }
    }
}
