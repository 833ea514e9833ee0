//! A minimal writer of protocol buffers: the files of other programs need a few messages with few fields, not worth a generator and its
//! build step.

/// A message under construction.
#[derive(Default)]
pub(super) struct Message(pub(super) Vec<u8>);

impl Message {
    fn varint(mut self, mut n: u64) -> Self {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
        self
    }

    fn fixed(self, field: u64, wire: u64, bytes: &[u8]) -> Self {
        let mut out = self.varint(field << 3 | wire);
        out.0.extend_from_slice(bytes);
        out
    }

    pub(super) fn int(self, field: u64, n: i64) -> Self {
        self.varint(field << 3).varint(n as u64)
    }

    pub(super) fn double(self, field: u64, x: f64) -> Self {
        self.fixed(field, 1, &x.to_le_bytes())
    }

    pub(super) fn float(self, field: u64, x: f32) -> Self {
        self.fixed(field, 5, &x.to_le_bytes())
    }

    pub(super) fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        let mut out = self.varint(field << 3 | 2).varint(bytes.len() as u64);
        out.0.extend_from_slice(bytes);
        out
    }

    pub(super) fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub(super) fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }

    pub(super) fn all<T>(self, items: impl IntoIterator<Item = T>, add: impl Fn(Self, T) -> Self) -> Self {
        items.into_iter().fold(self, add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_encoded_as_protocol_buffers() {
        assert_eq!(Message::default().int(1, 150).0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").0, [0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g']);
        assert_eq!(Message::default().message(3, &Message::default().int(1, 150)).0, [0x1a, 3, 0x08, 0x96, 0x01]);
        assert_eq!(Message::default().int(20, 6).0, [0xa0, 0x01, 6]);
        assert_eq!(Message::default().text(1, "a").float(7, 1.0).int(20, 6).0, [0x0a, 1, b'a', 0x3d, 0, 0, 0x80, 0x3f, 0xa0, 0x01, 6]);
    }
}
