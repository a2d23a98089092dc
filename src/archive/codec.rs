//! How the blocks of a file are compressed. Deflate and snappy are the Avro library's work. Zstandard isn't: the library sets
//! up a compressor of unknown length for each block, which costs more than the compressing.

use std::borrow::Cow;

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

    /// What compresses the blocks of a file.
    ///
    /// # Errors
    /// When there is no memory left.
    pub(super) fn compressor(self) -> Result<Compressor, Error> {
        Ok(match self {
            Codec::Null => Compressor::Null,
            // Level 6. The library's default is read as level 10, which takes several times as long for nothing.
            Codec::Deflate => {
                Compressor::Library(apache_avro::Codec::Deflate(DeflateSettings::new(CompressionLevel::DefaultLevel)))
            }
            Codec::Snappy => Compressor::Library(apache_avro::Codec::Snappy),
            Codec::Zstandard => {
                let compressor = zstd::bulk::Compressor::new(ZSTANDARD_LEVEL);
                Compressor::Zstandard(compressor.map_err(|error| failed(self.name(), &error))?)
            }
        })
    }
}

/// 3: zstd's own default, written down so that an upgrade doesn't change names of files.
const ZSTANDARD_LEVEL: i32 = 3;

/// A codec at work, with the memory that it keeps from block to block.
pub(super) enum Compressor {
    Null,
    Library(apache_avro::Codec),
    Zstandard(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    /// One block, compressed.
    ///
    /// # Errors
    /// When there is no memory left.
    pub(super) fn compress<'b>(&mut self, block: &'b [u8]) -> Result<Cow<'b, [u8]>, Error> {
        match self {
            Compressor::Null => Ok(Cow::Borrowed(block)),
            Compressor::Library(codec) => {
                let mut block = block.to_vec();
                codec.compress(&mut block).map_err(|error| failed("the Avro library", &error))?;
                Ok(Cow::Owned(block))
            }
            Compressor::Zstandard(compressor) => {
                compressor.compress(block).map(Cow::Owned).map_err(|error| failed("zstandard", &error))
            }
        }
    }
}

fn failed(with: &str, error: &dyn std::fmt::Display) -> Error {
    Error::transient(format!("compress a block with {with}: {error}"))
}
