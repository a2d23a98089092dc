//! How the blocks of a file are compressed. Snappy is the Avro library's work. Zstandard isn't: the library sets up a compressor
//! of unknown length for each block, which costs more than the compressing. Nor is deflate: libdeflate takes a fifth of the time.

use std::borrow::Cow;
use std::cell::RefCell;

use libdeflater::{CompressionLvl, Compressor};

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
            Codec::Deflate => deflate(block).map(Cow::Owned).map_err(|error| failed(self.name(), &error)),
            Codec::Snappy => by_library(apache_avro::Codec::Snappy),
            Codec::Zstandard => zstandard(block).map(Cow::Owned).map_err(|error| failed(self.name(), &error)),
        }
    }
}

thread_local! {
    /// Deflate's tables, kept as zstandard's are.
    static DEFLATE: RefCell<Compressor> = RefCell::new(Compressor::new(deflate_level()));
}

/// Level 1 makes files within 1 % of level 6 in half of its time (docs/performance.md).
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
