//! Which bytes the grammars of HTTP let stand where.

/// Letters, and these; for each byte whether it is among them.
pub(crate) const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut letter = b'a';
    while letter <= b'z' {
        table[letter as usize] = true;
        table[letter.to_ascii_uppercase() as usize] = true;
        letter += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}
