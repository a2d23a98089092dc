//! The content of a frame, which a writer compressed. The frame may be damaged.

use std::cell::RefCell;
use std::io::{self, Read};

use super::wire::Damaged;

/// The largest content of a frame. An item has at most 400 KB, and no page or state compresses a hundredfold by more
/// than its names.
const MAX_CONTENT_BYTES: usize = 64 * 1024 * 1024;
/// A frame whose content is larger than this many times the frame is read step by step, because it may state more than it has.
const USUAL_RATIO: usize = 64;

/// The content of a frame.
///
/// # Errors
/// If it isn't one.
pub(crate) fn content_of(frame: &[u8]) -> Result<Vec<u8>, Damaged> {
    // Every frame of a writer states the length of its content.
    let stated = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten();
    let stated = stated.and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes <= MAX_CONTENT_BYTES);
    let stated = stated.ok_or(Damaged("it isn't a zstd frame"))?;
    let content = match stated <= USUAL_RATIO.saturating_mul(frame.len()) {
        true => content_at_once(frame, stated),
        false => content_in_steps(frame, stated),
    };
    content.map_err(|_| Damaged("it isn't a zstd frame"))
}

fn content_at_once(frame: &[u8], stated: usize) -> io::Result<Vec<u8>> {
    thread_local! {
        /// Reused for the same reason as the compressor.
        static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    DECOMPRESSOR.with_borrow_mut(|reused| {
        let decompressor = match reused {
            Some(decompressor) => decompressor,
            None => reused.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress(frame, stated)
    })
}

/// Takes memory as the content appears, which may also be more than the frame states.
fn content_in_steps(frame: &[u8], stated: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let at_most = u64::try_from(stated).unwrap_or(u64::MAX).saturating_add(1);
    zstd::Decoder::with_buffer(frame)?.take(at_most).read_to_end(&mut content)?;
    if content.len() == stated { Ok(content) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_a_frame_is_read_whether_or_not_it_compresses_well_and_only_if_its_length_is_stated() {
        for content in [vec![7; 1_000_000], (0..=255).collect(), Vec::new()] {
            let frame = zstd::bulk::compress(&content, 3).unwrap();
            assert_eq!(content_of(&frame), Ok(content));
        }
        assert!(content_of(&zstd::encode_all(&[7; 1000][..], 3).unwrap()).is_err());
        // 64 MB are stated, and nothing follows.
        assert!(content_of(&[0x28, 0xB5, 0x2F, 0xFD, 0xA0, 0, 0, 0, 4, 1, 0, 0]).is_err());
        // 100 KB are stated, and two blocks of 128 KiB follow, each of four bytes.
        let blocks = [[2, 0, 16, 7], [3, 0, 16, 7]].concat();
        assert!(content_of(&[&[0x28, 0xB5, 0x2F, 0xFD, 0xA0, 0xA0, 0x86, 1, 0], &blocks[..]].concat()).is_err());
    }
}
