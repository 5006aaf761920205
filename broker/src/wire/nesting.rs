//! A look at a field table before it is parsed. The parser recurses, so a table nested a few
//! thousand deep would overflow the stack; this walk keeps its own stack and refuses what is
//! deeper than anybody needs, and whatever the parser could read in another way.

/// Tables and arrays inside each other, at most.
const DEPTH_LIMIT: usize = 64;

/// Why a table is not handed to the parser.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    TooDeep,
    Malformed,
}

/// Checks the table that a method's payload holds, if methods of its kind hold one.
pub(super) fn check_method(payload: &[u8]) -> Result<(), Unfit> {
    let (Some(class_id), Some(method_id)) = (short_at(payload, 0), short_at(payload, 2)) else {
        return Ok(());
    };
    // Where the table begins: bytes of numbers, count of short strings, bytes of bits.
    let (numbers, strings, bits) = match (class_id, method_id) {
        (10, 10) => (2, 0, 0),
        (10, 11) => (0, 0, 0),
        (40, 10) => (2, 2, 1),
        (40, 30 | 40) => (2, 3, 1),
        (50, 10) => (2, 1, 1),
        (50, 20) => (2, 3, 1),
        (50, 50) => (2, 3, 0),
        (60, 20) => (2, 2, 1),
        _ => return Ok(()),
    };
    let mut at = 4 + numbers;
    for _ in 0..strings {
        at = after_short_string(payload, at)?;
    }
    check_table(payload, at + bits).map(|_| ())
}

/// Checks the header table inside a message's properties.
pub(super) fn check_properties(properties: &[u8]) -> Result<(), Unfit> {
    let flags = short_at(properties, 0).ok_or(Unfit::Malformed)?;
    let mut at = 2;
    for bit in [15, 14] {
        if flags & (1 << bit) != 0 {
            at = after_short_string(properties, at)?;
        }
    }
    if flags & (1 << 13) == 0 {
        return Ok(());
    }
    check_table(properties, at).map(|_| ())
}

fn check_table(bytes: &[u8], at: usize) -> Result<usize, Unfit> {
    let mut at = at;
    let mut open: Vec<Container> = Vec::new();
    open.push(Container { end: after_length(bytes, &mut at)?, keyed: true });
    while let Some(container) = open.last() {
        if at == container.end {
            open.pop();
            continue;
        }
        let (end, keyed) = (container.end, container.keyed);
        if keyed {
            at = after_short_string(bytes, at)?;
        }
        let kind = *bytes.get(at).ok_or(Unfit::Malformed)?;
        at += 1;
        match kind {
            b't' | b'b' | b'B' => at += 1,
            b's' | b'U' | b'u' => at += 2,
            b'I' | b'i' | b'f' => at += 4,
            b'L' | b'l' | b'd' | b'T' => at += 8,
            b'D' => at += 5,
            b'V' => {}
            b'S' | b'x' => at = after_length(bytes, &mut at)?,
            b'F' | b'A' => {
                let inner = after_length(bytes, &mut at)?;
                if inner > end {
                    return Err(Unfit::Malformed);
                }
                if open.len() == DEPTH_LIMIT {
                    return Err(Unfit::TooDeep);
                }
                open.push(Container { end: inner, keyed: kind == b'F' });
            }
            _ => return Err(Unfit::Malformed),
        }
        if at > end {
            return Err(Unfit::Malformed);
        }
    }
    Ok(at)
}

struct Container {
    end: usize,
    keyed: bool,
}

fn short_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

fn after_short_string(bytes: &[u8], at: usize) -> Result<usize, Unfit> {
    let length = usize::from(*bytes.get(at).ok_or(Unfit::Malformed)?);
    let end = at + 1 + length;
    if end > bytes.len() { Err(Unfit::Malformed) } else { Ok(end) }
}

/// Steps over a 32 bit length and says where what it measures ends.
fn after_length(bytes: &[u8], at: &mut usize) -> Result<usize, Unfit> {
    let length = bytes.get(*at..*at + 4).ok_or(Unfit::Malformed)?;
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
    *at += 4;
    let end = usize::try_from(length).ok().and_then(|length| at.checked_add(length));
    match end {
        Some(end) if end <= bytes.len() => Ok(end),
        Some(_) | None => Err(Unfit::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header table that holds `depth` tables, one in the other.
    fn nested(depth: usize) -> Vec<u8> {
        let mut table = Vec::new();
        for _ in 0..depth {
            let mut outer = vec![1, b'a', b'F'];
            outer.extend(u32::try_from(table.len()).unwrap().to_be_bytes());
            outer.extend(table);
            table = outer;
        }
        let mut properties = vec![0x20, 0];
        properties.extend(u32::try_from(table.len()).unwrap().to_be_bytes());
        properties.extend(table);
        properties
    }

    #[test]
    fn shallow_tables_pass_and_deep_ones_do_not() {
        assert_eq!(check_properties(&nested(10)), Ok(()));
        assert_eq!(check_properties(&nested(63)), Ok(()));
        assert_eq!(check_properties(&nested(2_000)), Err(Unfit::TooDeep));
        assert_eq!(check_properties(&nested(15_000)), Err(Unfit::TooDeep));
    }

    #[test]
    fn lengths_that_lead_outside_are_malformed() {
        assert_eq!(check_properties(&[0x20, 0, 0xff, 0xff, 0xff, 0xff]), Err(Unfit::Malformed));
        assert_eq!(check_properties(&[0x20]), Err(Unfit::Malformed));
        let inner_longer_than_outer = [0x20, 0, 0, 0, 0, 7, 1, b'a', b'F', 0, 0, 0, 4, 0, 0, 0, 0];
        assert_eq!(check_properties(&inner_longer_than_outer), Err(Unfit::Malformed));
    }
}
