//! Compresses the blocks of a file. Only Snappy is left to the Avro library. For Zstandard, the library sets up a
//! compressor of unknown length for each block, which takes longer than the compression itself. For deflate, libdeflate
//! takes a fifth of the time.

use std::borrow::Cow;
use std::cell::RefCell;

use libdeflater::{CompressionLvl, Compressor};

use crate::error::Error;

/// A compression codec of Avro object container files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// No compression.
    Null,
    /// Raw deflate (RFC 1951), which every Avro reader supports.
    Deflate,
    /// Snappy with a checksum.
    Snappy,
    /// Zstandard.
    Zstandard,
}

impl Codec {
    /// Every codec, in the order of the documentation.
    pub const ALL: [Codec; 4] = [Codec::Null, Codec::Deflate, Codec::Snappy, Codec::Zstandard];

    /// The codec with this name in the Avro specification.
    pub fn parse(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// The name of the codec in the Avro specification.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Null => "null",
            Codec::Deflate => "deflate",
            Codec::Snappy => "snappy",
            Codec::Zstandard => "zstandard",
        }
    }

    /// Compresses one block of a file.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub(super) fn compress(self, block: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
        let by_library = |codec: apache_avro::Codec| {
            let mut block = block.to_vec();
            codec.compress(&mut block).map(|()| Cow::Owned(block)).map_err(|error| failed(self.name(), &error))
        };
        match self {
            Codec::Null => Ok(Cow::Borrowed(block)),
            Codec::Deflate => deflate(block).map(Cow::Owned).map_err(|error| failed(self.name(), &error)),
            Codec::Snappy => by_library(apache_avro::Codec::Snappy),
            Codec::Zstandard => zstandard(block).map(Cow::Owned).map_err(|error| failed(self.name(), &error)),
        }
    }
}

thread_local! {
    /// Deflate's tables, reused for the same reason as Zstandard's.
    static DEFLATE: RefCell<Compressor> = RefCell::new(Compressor::new(deflate_level()));
}

/// Level 1 makes files within 1% of level 6 in half the time (docs/performance.md).
fn deflate_level() -> CompressionLvl {
    CompressionLvl::new(1).unwrap_or_default()
}

fn deflate(block: &[u8]) -> Result<Vec<u8>, libdeflater::CompressionError> {
    DEFLATE.with_borrow_mut(|compressor| {
        let mut out = vec![0; compressor.deflate_compress_bound(block.len())];
        let length = compressor.deflate_compress(block, &mut out)?;
        out.truncate(length);
        Ok(out)
    })
}

/// Level 2 makes files as small as level 3, zstd's default, in two thirds of the time (docs/performance.md).
const ZSTANDARD_LEVEL: i32 = 2;

thread_local! {
    /// Zstandard's tables, reused because setting them up takes longer than compressing a small block. The output
    /// doesn't depend on what was compressed before.
    static ZSTANDARD: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

fn zstandard(block: &[u8]) -> std::io::Result<Vec<u8>> {
    ZSTANDARD.with_borrow_mut(|reused| {
        let compressor = match reused {
            Some(compressor) => compressor,
            None => reused.insert(zstd::bulk::Compressor::new(ZSTANDARD_LEVEL)?),
        };
        compressor.compress(block)
    })
}

fn failed(with: &str, error: &dyn std::fmt::Display) -> Error {
    Error::transient(format!("compress a block with {with}: {error}"))
}
