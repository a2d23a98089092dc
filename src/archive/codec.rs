//! How the blocks of a file are compressed. The compressing is the Avro library's; the levels are ours.

use apache_avro::{DeflateSettings, ZstandardSettings};
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

    /// One block, compressed.
    ///
    /// # Errors
    /// When the compressor has no memory left.
    pub(super) fn compress(self, mut block: Vec<u8>) -> Result<Vec<u8>, Error> {
        let codec = match self {
            Codec::Null => apache_avro::Codec::Null,
            // Level 6. The library's default is read as level 10, which takes several times as long for nothing.
            Codec::Deflate => apache_avro::Codec::Deflate(DeflateSettings::new(CompressionLevel::DefaultLevel)),
            Codec::Snappy => apache_avro::Codec::Snappy,
            // 3: zstd's own default, written down so that an upgrade doesn't change names of files.
            Codec::Zstandard => apache_avro::Codec::Zstandard(ZstandardSettings::new(3)),
        };
        codec
            .compress(&mut block)
            .map_err(|error| Error::transient(format!("compress a block with {}: {error}", self.name())))?;
        Ok(block)
    }
}
