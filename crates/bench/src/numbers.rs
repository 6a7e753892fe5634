//! Numbers as people read them.

/// `43,700`
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0.4, "0"), (999.0, "999"), (43_700.0, "43,700"), (1_234_567.8, "1,234,568")] {
            assert_eq!(grouped(number), text);
        }
    }
}
