//! How the blocks of a file are compressed. Deflate and snappy are the Avro library's work. Zstandard isn't: the library sets
//! up a compressor of unknown length for each block, which costs more than the compressing.

use std::borrow::Cow;
use std::cell::RefCell;

use apache_avro::DeflateSettings;
use miniz_oxide::deflate::CompressionLevel;

use crate::error::Error;

/// A compression of Avro's object container files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

impl Codec {
    /// Every codec, in the order documents list them.
    pub const ALL: [Codec; 4] = [Codec::Null, Codec::Deflate, Codec::Snappy, Codec::Zstandard];

    /// The codec that Avro calls `name`.
    pub fn parse(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Avro's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Null => "null",
            Codec::Deflate => "deflate",
            Codec::Snappy => "snappy",
            Codec::Zstandard => "zstandard",
        }
    }

    /// One block of a file, compressed.
    ///
    /// # Errors
    /// When there is no memory left.
    pub(super) fn compress(self, block: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
        let by_library = |codec: apache_avro::Codec| {
            let mut block = block.to_vec();
            codec.compress(&mut block).map(|()| Cow::Owned(block)).map_err(|error| failed(self.name(), &error))
        };
        match self {
            Codec::Null => Ok(Cow::Borrowed(block)),
            // Level 6. The library's default is read as level 10, which takes several times as long for nothing.
            Codec::Deflate => {
                by_library(apache_avro::Codec::Deflate(DeflateSettings::new(CompressionLevel::DefaultLevel)))
            }
            Codec::Snappy => by_library(apache_avro::Codec::Snappy),
            Codec::Zstandard => zstandard(block).map(Cow::Owned).map_err(|error| failed(self.name(), &error)),
        }
    }
}

/// Level 2 makes files as small as 3, zstd's default, in two thirds of its time (docs/performance.md).
const ZSTANDARD_LEVEL: i32 = 2;

thread_local! {
    /// Zstandard's tables, which cost more to set up than a small block to compress. What comes out doesn't depend on what
    /// was compressed before.
    static ZSTANDARD: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

fn zstandard(block: &[u8]) -> std::io::Result<Vec<u8>> {
    ZSTANDARD.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(zstd::bulk::Compressor::new(ZSTANDARD_LEVEL)?),
        };
        compressor.compress(block)
    })
}

fn failed(with: &str, error: &dyn std::fmt::Display) -> Error {
    Error::transient(format!("compress a block with {with}: {error}"))
}
