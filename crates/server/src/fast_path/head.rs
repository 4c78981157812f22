//! Which bytes are a request that is answered here.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::request::Request;

/// What a request of ours begins with.
const BEGINNING: &[u8] = b"POST /api/verify HTTP/1.1\r\n";

/// The most headers of a request of ours. With more it is none of ours.
const MAX_HEADERS: usize = 32;

/// Room for the headers of one request.
pub(super) type Room<'b> = [MaybeUninit<Header<'b>>; MAX_HEADERS];

/// Empty room.
pub(super) const fn room<'b>() -> Room<'b> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// What the bytes at hand are.
pub(super) enum Recognised<'r, 'b> {
    /// They begin with a request of ours, which is here whole, head and body of so many bytes together.
    Whole(Request<'r, 'b>, usize),
    /// They may be the beginning of one; nothing can be said before there are so many bytes.
    Partial(usize),
    /// They are something else.
    Other,
}

/// Looks at the bytes that have arrived, of at most `most`.
///
/// A request is of ours if the HTTP library, which has the same parser, could read it in one way only: of all that
/// says where a request ends or what becomes of its connection it holds one `Content-Length` and nothing else.
pub(super) fn recognise<'r, 'b: 'r>(
    bytes: &'b [u8],
    most: usize,
    room: &'r mut Room<'b>,
) -> Recognised<'r, 'b> {
    let known = bytes.len().min(BEGINNING.len());
    if bytes[..known] != BEGINNING[..known] {
        return Recognised::Other;
    }
    if known < BEGINNING.len() {
        return Recognised::Partial(BEGINNING.len());
    }
    let mut parsed = httparse::Request::new(&mut []);
    let head = match parsed.parse_with_uninit_headers(bytes, room) {
        Ok(Status::Complete(head)) => head,
        Ok(Status::Partial) if bytes.len() < most => return Recognised::Partial(bytes.len() + 1),
        Ok(Status::Partial) | Err(_) => return Recognised::Other,
    };
    let headers: &'r [Header<'b>] = parsed.headers;
    let Some(length) = body_length(headers).and_then(|body| head.checked_add(body)) else {
        return Recognised::Other;
    };
    match bytes.get(head..length) {
        Some(body) => Recognised::Whole(Request { headers, body }, length),
        None if length <= most => Recognised::Partial(length),
        None => Recognised::Other,
    }
}

/// The length of the body, if it is told in the one way that leaves no doubt.
fn body_length(headers: &[Header<'_>]) -> Option<usize> {
    let mut length = None;
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        // Told apart by length first, so that most headers cost one comparison of numbers.
        match header.name.len() {
            6 if is("expect") => return None,
            7 if is("upgrade") => return None,
            10 if is("connection") && !header.value.eq_ignore_ascii_case(b"keep-alive") => {
                return None;
            }
            14 if is("content-length") => {
                if length.is_some() {
                    return None;
                }
                length = Some(number(header.value)?);
            }
            17 if is("transfer-encoding") => return None,
            _ => {}
        }
    }
    length
}

/// A number of one to five digits.
fn number(digits: &[u8]) -> Option<usize> {
    if !(1..=5).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = digits.iter().map(|digit| usize::from(digit - b'0'));
    Some(digits.fold(0, |number, digit| number * 10 + digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1000;

    fn found(bytes: &[u8]) -> String {
        match recognise(bytes, MOST, &mut room()) {
            Recognised::Whole(request, length) => {
                format!("{length} {}", String::from_utf8_lossy(request.body))
            }
            Recognised::Partial(wanted) => format!("wants {wanted}"),
            Recognised::Other => "other".to_owned(),
        }
    }

    fn with(headers: &str) -> String {
        found(format!("POST /api/verify HTTP/1.1\r\n{headers}\r\n{{}}").as_bytes())
    }

    #[test]
    fn a_plain_request_is_taken_with_so_many_bytes_as_it_says() {
        assert_eq!(with("Content-Length: 2\r\n"), "50 {}");
        assert_eq!(
            with("host: a\r\nCONTENT-LENGTH:2\r\nconnection: Keep-Alive\r\n"),
            "82 {}"
        );
        assert_eq!(with("content-length: 1\r\n"), "49 {");
        assert_eq!(with("content-length: 0\r\n"), "48 ");
    }

    #[test]
    fn every_beginning_of_one_is_waited_for() {
        let whole = b"POST /api/verify HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
        for end in 0..whole.len() {
            let found = found(&whole[..end]);
            let wanted: usize = found.strip_prefix("wants ").unwrap().parse().unwrap();
            assert!((end + 1..=whole.len()).contains(&wanted), "{end}: {found}");
        }
    }

    #[test]
    fn whatever_leaves_a_doubt_is_none_of_ours() {
        for headers in [
            "",
            "content-length: 2\r\ncontent-length: 2\r\n",
            "content-length: 2, 2\r\n",
            "content-length: +2\r\n",
            "content-length: 0x2\r\n",
            "content-length: 000002\r\n",
            "content-length:\r\n",
            "content-length: 2\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\n",
            "content-length: 2\r\nTransfer-Encoding: identity\r\n",
            "content-length: 2\r\nconnection: close\r\n",
            "content-length: 2\r\nconnection: keep-alive, upgrade\r\n",
            "content-length: 2\r\nexpect: 100-continue\r\n",
            "content-length: 2\r\nupgrade: h2c\r\n",
            "content-length: 2\r\n folded: a\r\n",
            "content-length : 2\r\n",
            "content-length: 2\r\nno colon\r\n",
            "content-length: 2\r\nx: \0\r\n",
            "content-length: 99999\r\n",
            &format!("content-length: 2\r\n{}", "a: b\r\n".repeat(MAX_HEADERS)),
            &format!("content-length: 2\r\na: {}", "b".repeat(MOST)),
        ] {
            assert_eq!(with(headers), "other", "{headers:?}");
        }
        for bytes in [
            "GET ",
            "POST /api/verify HTTP/1.0\r\n",
            "POST /api/verify?a HTTP/1.1\r\n",
            "POST /api/verify/batch HTTP/1.1\r\n",
            "POST  /api/verify HTTP/1.1\r\n",
            "\r\nPOST /api/verify HTTP/1.1\r\n",
            "POST /api/verify HTTP/1.1\n",
            "POST http://a/api/verify HTTP/1.1\r\n",
        ] {
            assert_eq!(found(bytes.as_bytes()), "other", "{bytes:?}");
        }
    }
}
