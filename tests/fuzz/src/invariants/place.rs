//! A body that is refused is told what is wrong, and where.

use ci_bridge_schema::ParseError;

use super::hold;

/// A message for people, of bounded length, and a place within the body.
pub(crate) fn points_into(body: &[u8], error: &ParseError) -> Result<(), String> {
    hold!(!error.message().is_empty(), "an error without a message");
    hold!(error.to_string().len() < 1000, "a message of {} bytes", error.to_string().len());
    let Some((line, column)) = place_of(error) else { return Ok(()) };
    let lines: Vec<_> = body.split(|&b| b == b'\n').collect();
    hold!((1..=lines.len()).contains(&line), "line {line} of {}: {error}", lines.len());
    let columns = lines[line - 1].iter().filter(|&&b| b & 0xC0 != 0x80).count();
    hold!((1..=columns + 1).contains(&column), "column {column} of {columns}: {error}");
    Ok(())
}

/// Line and column, where the error has them.
pub(crate) fn place_of(error: &ParseError) -> Option<(usize, usize)> {
    let place = error.position()?;
    Some((usize::try_from(place.line).ok()?, usize::try_from(place.column).ok()?))
}
