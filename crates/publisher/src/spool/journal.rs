//! fjall's journal, version 3, as far as damage can be seen in it without its checksums: batches of entries, one behind
//! the other, and zeros where nothing was written yet. Read a chunk at a time: a journal may have 64 MiB.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

/// What ends a batch.
pub(super) const END_OF_BATCH: &[u8; 4] = b"FJL\x03";
/// fjall allocates a journal ahead; behind so many zeros nothing was ever written.
const ZEROS: u64 = 1 << 20;
/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// What stands in a journal behind some place.
#[derive(Debug, PartialEq)]
pub(super) struct Tail {
    /// Where the last batch ends that was written there, sound or not.
    pub(super) last_end: Option<u64>,
    /// Behind it there are zeros only.
    pub(super) written_end: u64,
}

/// Where the last of those batches ends that make sense from the beginning on: there fjall will cut, unless all does.
pub(super) fn sound_end(journal: &Path) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(CHUNK, File::open(journal)?);
    let mut sound = 0;
    loop {
        match batch(&mut reader) {
            Ok(true) => sound = reader.stream_position()?,
            Ok(false) => return Ok(sound),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(sound),
            Err(error) => return Err(error),
        }
    }
}

/// Reads a batch; whether it is one.
fn batch(reader: &mut (impl BufRead + Seek)) -> io::Result<bool> {
    let Entry::Start { mut items } = entry(reader)? else { return Ok(false) };
    loop {
        match entry(reader)? {
            Entry::Item if items > 0 => items -= 1,
            Entry::End => return Ok(items == 0),
            _ => return Ok(false),
        }
    }
}

enum Entry {
    Start {
        items: u32,
    },
    /// A record, or that a keyspace was cleared.
    Item,
    End,
    Nonsense,
}

fn entry(reader: &mut (impl BufRead + Seek)) -> io::Result<Entry> {
    let [tag] = take(reader)?;
    Ok(match tag {
        1 => {
            let items = u32::from_le_bytes(take(reader)?);
            let _sequence: [u8; 8] = take(reader)?;
            Entry::Start { items }
        }
        2 => {
            let [_kind, compression] = take(reader)?;
            let _keyspace: [u8; 8] = take(reader)?;
            let key = u16::from_le_bytes(take(reader)?);
            let _value: [u8; 4] = take(reader)?;
            let stored = u32::from_le_bytes(take(reader)?);
            skip(reader, u64::from(key) + u64::from(stored))?;
            // The spool compresses nothing.
            if compression == 0 { Entry::Item } else { Entry::Nonsense }
        }
        3 => {
            let _checksum: [u8; 8] = take(reader)?;
            let trailer: [u8; 4] = take(reader)?;
            if trailer == *END_OF_BATCH { Entry::End } else { Entry::Nonsense }
        }
        4 => {
            let _keyspace: [u8; 8] = take(reader)?;
            Entry::Item
        }
        _ => Entry::Nonsense,
    })
}

fn take<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Beyond the end as well: then the next entry is not there.
fn skip(reader: &mut (impl BufRead + Seek), mut bytes: u64) -> io::Result<()> {
    while bytes > 0 {
        let buffered = reader.fill_buf()?.len();
        if buffered == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let passed = buffered.min(usize::try_from(bytes).unwrap_or(usize::MAX));
        reader.consume(passed);
        bytes -= passed as u64;
    }
    Ok(())
}

/// What was written behind a place.
pub(super) fn tail(journal: &Path, from: u64) -> io::Result<Tail> {
    let mut file = File::open(journal)?;
    let mut at = file.seek(io::SeekFrom::Start(from))?;
    let mut tail = Tail { last_end: None, written_end: from };
    // The end of the chunk before, in which the trailer may begin.
    let mut chunk = Vec::with_capacity(CHUNK + END_OF_BATCH.len());
    while at.saturating_sub(tail.written_end) < ZEROS {
        let carried = chunk.len();
        let count = (&mut file).take(CHUNK as u64).read_to_end(&mut chunk)?;
        if count == 0 {
            break;
        }
        let start = at - carried as u64;
        let found = chunk.windows(END_OF_BATCH.len()).rposition(|window| window == END_OF_BATCH);
        if let Some(found) = found {
            tail.last_end = Some(start + (found + END_OF_BATCH.len()) as u64);
        }
        if let Some(last) = chunk.iter().rposition(|byte| *byte != 0) {
            tail.written_end = tail.written_end.max(start + last as u64 + 1);
        }
        at += count as u64;
        let kept = chunk.len().min(END_OF_BATCH.len() - 1);
        chunk.drain(..chunk.len() - kept);
    }
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch_of(values: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![1];
        bytes.extend(u32::try_from(values.len()).unwrap().to_le_bytes());
        bytes.extend([0; 8]);
        for value in values {
            let length = u32::try_from(value.len()).unwrap().to_le_bytes();
            bytes.extend([2, 0, 0]);
            bytes.extend([0; 8]);
            bytes.extend(8_u16.to_le_bytes());
            bytes.extend([length, length].concat());
            bytes.extend([7; 8]);
            bytes.extend(*value);
        }
        bytes.push(3);
        bytes.extend([9; 8]);
        bytes.extend(END_OF_BATCH);
        bytes
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn a_journal_is_sound_up_to_the_first_batch_that_makes_no_sense() {
        let large = vec![b'x'; 3 * CHUNK];
        let (one, two) = (batch_of(&[b"a", b"bc"]), batch_of(&[&large]));
        let zeros = vec![0; 3 << 20];
        let sound = [&one[..], &two].concat();
        let length = sound.len() as u64;
        for (bytes, expected, last_end) in [
            (sound.clone(), length, None),
            ([&sound[..], &zeros].concat(), length, None),
            // A torn end.
            ([&sound[..], &one[..one.len() - 1]].concat(), length, None),
            ([&sound[..], &two[..CHUNK], &zeros].concat(), length, None),
            // Damage in front of what was written whole.
            ([&sound[..], b"\x09", &one].concat(), length, Some(length + 1 + one.len() as u64)),
            ([&[0; 5][..], &two, &zeros].concat(), 0, Some(5 + two.len() as u64)),
            (Vec::new(), 0, None),
        ] {
            let file = file(&bytes);
            let end = sound_end(file.path()).unwrap();
            assert_eq!((end, tail(file.path(), end).unwrap().last_end), (expected, last_end));
        }
    }

    #[test]
    fn a_trailer_is_found_wherever_chunks_end() {
        for before in (CHUNK - 6)..(CHUNK + 6) {
            let bytes = [&vec![b'x'; before][..], END_OF_BATCH, &[0; 100]].concat();
            let end = (before + END_OF_BATCH.len()) as u64;
            let expected = Tail { last_end: Some(end), written_end: end };
            // Its last byte is no zero.
            assert_eq!(tail(file(&bytes).path(), 0).unwrap(), expected, "{before}");
        }
    }
}
