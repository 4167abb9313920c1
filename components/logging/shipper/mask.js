// Masks personal data and secrets in a log line before it leaves the node. Filebeat's `script` processor runs it: ECMAScript 5.1,
// and only patterns without look-around and back-references, which run in linear time. What such patterns cannot say, checked
// digits and what stands beside a match, is said in functions.

var WITHHELD = "[withheld: masking failed]";
var BLOB = 256;

function process(event) {
    var text = event.Get("message");
    if (typeof text !== "string") {
        return;
    }
    // Whatever interrupts the work below, a time limit too, leaves this in the line's place.
    event.Put("message", WITHHELD);
    try {
        event.Put("message", mask(text));
    } catch (error) {
        event.Put("labels.masking", "failed");
    }
}

function mask(text) {
    if (text.length >= BLOB) {
        text = blobs(text);
    }
    text = secrets(text);
    if (text.indexOf("@") >= 0) {
        text = text.replace(/\b([a-zA-Z][a-zA-Z0-9+.-]*:\/\/)[^\s\/?#@"'<>]*:[^\s\/?#@"'<>]*@/g, "$1[credentials]@");
        text = within(text, /[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+/g, isEmail, "[email]");
    }
    if (/\d{3}/.test(text)) {
        text = within(text, /[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]/g, isIdCard, "[id-card]");
        text = within(text, /[2-69]\d{3}(?:\d{9,15}|(?: \d{4}){2,3} \d{1,4}|(?:-\d{4}){2,3}-\d{1,4}| \d{6} \d{5}|-\d{6}-\d{5})/g, isBankCard, "[bank-card]");
        text = within(text, /(?:(?:\+|00)?86[ -]?)?1[3-9]\d(?:\d{8}| \d{4} \d{4}|-\d{4}-\d{4})/g, isPhone, "[phone]");
    }
    return text;
}

// Pictures and other binary data: a screenshot of a phone shows its owner's life, and digits inside would look like numbers.
function blobs(text) {
    return text.replace(/[A-Za-z0-9+\/=_-]{256,}/g, function (run) {
        return "[" + run.length + " characters]";
    });
}

var NAMED = /\b((?:[A-Za-z0-9]+[_-])*(?:passwords?|passwd|pwd|secrets?|credentials?|api[_-]?keys?|access[_-]?keys?|access[_-]?key[_-]?(?:id|secret)|secret[_-]?keys?|private[_-]?keys?|signing[_-]?secret|client[_-]?secret|(?:access|refresh|auth|id|hf|session|security|bearer|api|csrf|robot)[_-]?token|sessionid|session[_-]id|authorization)|token)(\\*["']?\s*[:=]\s*)(\\*"[^"\\]*(?:\\[^"][^"\\]*)*\\*"|\\*'[^'\\]*\\*'|[^\s,;&"'\\<>(){}\[\]]+)/gi;
var EMPTY = /^(?:none|null|nil|true|false|undefined|bearer|basic|\*+|x+)?$/i;

function secrets(text) {
    if (/bearer|authorization|cookie/i.test(text)) {
        text = text.replace(/\b(bearer\s+)([A-Za-z0-9._~+\/=-]{8,})/gi, function (found, scheme, value) {
            return isOpaque(value) ? scheme + "[token]" : found;
        });
        text = text.replace(/\b(authorization\\*["']?\s*[:=]\s*\\*["']?(?:basic|digest|negotiate|apikey|token)\s+)[^\s"'\\,;}]+/gi, "$1[token]");
        text = text.replace(/\b((?:set-)?cookie\\*["']?\s*[:=]\s*\\*["']?)[^"'\\\r\n]+/gi, "$1[token]");
    }
    if (/pass|pwd|secret|cred|key|token|session|authorization/i.test(text)) {
        text = text.replace(NAMED, function (found, name, between, value) {
            var quotes = /^(\\*["'])(.*?)(\\*["'])$/.exec(value);
            var bare = quotes ? quotes[2] : value;
            if (EMPTY.test(bare) || bare.charAt(0) === "[") {
                return found;
            }
            return name + between + (quotes ? quotes[1] + "[token]" + quotes[3] : "[token]");
        });
    }
    if (text.indexOf("eyJ") >= 0) {
        text = text.replace(/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*/g, "[token]");
    }
    return text.replace(/\b(?:sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}|LTAI[A-Za-z0-9]{12,30}|AKID[A-Za-z0-9]{16,40}|AIza[A-Za-z0-9_-]{30,}|SEC[0-9a-f]{64})\b/g, "[token]");
}

function isOpaque(value) {
    return /[0-9._~+\/=-]/.test(value) || value.length >= 20;
}

// Replaces what `accepts` takes, told the characters on either side. A position is found by search, which gives the same on every
// engine: the pattern has seen all earlier text, so the next occurrence is the match.
function within(text, pattern, accepts, label) {
    var from = 0;
    return text.replace(pattern, function (found) {
        var at = text.indexOf(found, from);
        from = at + found.length;
        return accepts(found, text, at, from) ? label : found;
    });
}

// A number that is part of a longer one, of a decimal fraction, or of a long hexadecimal name is none of a person's.
function standsAlone(text, from, to) {
    if (isDigit(text.charAt(from - 1)) || isDigit(text.charAt(to))) {
        return false;
    }
    if (text.charAt(from - 1) === "." && isDigit(text.charAt(from - 2))) {
        return false;
    }
    if (text.charAt(to) === "." && isDigit(text.charAt(to + 1))) {
        return false;
    }
    var start = from, end = to;
    while (start > 0 && from - start < 64 && /[0-9A-Fa-f-]/.test(text.charAt(start - 1))) {
        start--;
    }
    while (end < text.length && end - to < 64 && /[0-9A-Fa-f-]/.test(text.charAt(end))) {
        end++;
    }
    var run = text.substring(start, end);
    return !(run.length - (to - from) >= 8 && /[A-Fa-f]/.test(run));
}

function isDigit(character) {
    return character >= "0" && character <= "9" && character.length === 1;
}

// Mobile numbers of mainland China: 11 digits that begin with 13 to 19 (the Ministry's numbering plan), country code or not.
function isPhone(found, text, from, to) {
    return standsAlone(text, from, to);
}

// GB 11643-1999: 17 digits with the date of birth, and a check character by ISO 7064 MOD 11-2.
function isIdCard(found, text, from, to) {
    if (!standsAlone(text, from, to)) {
        return false;
    }
    var weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    var sum = 0;
    for (var index = 0; index < 17; index++) {
        sum += weights[index] * Number(found.charAt(index));
    }
    return "10X98765432".charAt(sum % 11) === found.charAt(17).toUpperCase();
}

// ISO/IEC 7812: issuer's prefix, length and Luhn's check digit. UnionPay 62, Visa 4, Mastercard 51-55 and 2221-2720, American
// Express 34 and 37, JCB 3528-3589, Discover 6011 and 65; 9558 is of cards that a Chinese bank issued before UnionPay.
function isBankCard(found, text, from, to) {
    if (!standsAlone(text, from, to)) {
        return false;
    }
    var digits = found.replace(/[ -]/g, "");
    var length = digits.length;
    var four = Number(digits.substring(0, 4));
    var two = Math.floor(four / 100);
    var issued = (two === 62 && length >= 16 && length <= 19) ||
        (two >= 40 && two <= 49 && (length === 13 || length === 16 || length === 19)) ||
        (((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720)) && length === 16) ||
        ((two === 34 || two === 37) && length === 15) ||
        (four >= 3528 && four <= 3589 && length >= 16 && length <= 19) ||
        ((four === 6011 || two === 65 || four === 9558) && length >= 16 && length <= 19);
    if (!issued) {
        return false;
    }
    var sum = 0;
    for (var index = 0; index < length; index++) {
        var digit = Number(digits.charAt(length - 1 - index));
        if (index % 2 === 1) {
            digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
        }
        sum += digit;
    }
    return sum % 10 === 0;
}

// Names of systemd's units look like addresses (getty@tty1.service), and so do images and packages with a version.
function isEmail(found) {
    var last = found.substring(found.lastIndexOf(".") + 1);
    return /^[A-Za-z]{2,}$/.test(last) && !/^(?:service|socket|timer|slice|scope|mount|target|device|path)$/.test(last);
}
