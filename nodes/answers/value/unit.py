"""Units of measure and of money, and the nouns of what is counted."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Unit:
    """What a number counts or measures."""

    dimension: tuple[tuple[str, int], ...] = ()
    """Powers of base dimensions: `(("length", 2),)` for an area."""
    factor: Fraction = Fraction(1)
    """The size in that dimension's base unit: 1/100 for cents."""
    nouns: frozenset[str] = frozenset()
    """The words that are not known units, in the singular."""
    per: frozenset[str] = frozenset()
    """What an amount of money is paid for: `hour` in dollars per hour."""

    def of_one_kind(self, other: "Unit") -> bool:
        """Whether the two measure the same: cents and dollars do, cents and metres don't."""
        if self.dimension != other.dimension or (self.per and other.per and self.per != other.per):
            return False
        return bool(self.dimension or not self.nouns or not other.nouns or self.nouns & other.nouns)


_CURRENCIES = frozenset(["USD", "EUR", "GBP", "JPY", "INR", "CNY"])
_TABLE = """
USD 1: dollar dollars usd $ buck bucks
USD 1/100: cent cents ¢
EUR 1: euro euros eur €
GBP 1: gbp £ quid
GBP 1/100: pence
JPY 1: yen jpy ¥
INR 1: rupee rupees inr ₹
CNY 1: yuan rmb cny
length 1: m meter meters metre metres
length 1000: km kilometer kilometers kilometre kilometres
length 1/10: dm decimeter decimeters
length 1/100: cm centimeter centimeters centimetre centimetres
length 1/1000: mm millimeter millimeters millimetre millimetres
length 1/1000000: μm micrometer micrometers
length 1/1000000000: nm nanometer nanometers
length 254/10000: inch inches
length 3048/10000: ft foot feet
length 9144/10000: yd yard yards
length 1609344/1000: mi mile miles
mass 1: g gram grams
mass 1000: kg kilogram kilograms kilo kilos
mass 1/1000: mg milligram milligrams
mass 1000000: tonne tonnes
mass 45359237/100000: lb lbs pound pounds
mass 45359237/1600000: oz ounce ounces
time 1: s sec secs second seconds
time 1/1000: ms millisecond milliseconds
time 60: min mins minute minutes
time 3600: h hr hrs hour hours
time 86400: day days
time 604800: week weeks wk
month 1: month months
month 12: year years yr yrs
volume 1: l liter liters litre litres
volume 1/1000: ml milliliter milliliters millilitre millilitres cc
volume 1/10: dl
gallon 1: gallon gallons gal
gallon 1/4: quart quarts
gallon 1/8: pint pints
gallon 1/16: cup cups
data 1: byte bytes
data 1000: kb kilobyte kilobytes
data 1000000: mb megabyte megabytes
data 1000000000: gb gigabyte gigabytes
data 1000000000000: tb terabyte terabytes
data 1024: kib
data 1048576: mib
data 1073741824: gib
bit 1: bit bits
bit 1000000: Mb mbit megabit megabits
degree 1: degree degrees deg
radian 1: rad radian radians
celsius 1: celsius °c
fahrenheit 1: fahrenheit °f
kelvin 1: kelvin kelvins
power 1: w watt watts
power 1000: kw kilowatt kilowatts
power 1000000: MW
power 1/1000: mW
energy 1: j joule joules
energy 1000: kj
energy 3600000: kwh
force 1: n newton newtons
frequency 1: hz hertz
frequency 1000: khz
frequency 1000000: mhz
frequency 1000000000: ghz
voltage 1: v volt volts
current 1: a ampere amperes amp amps
"""
_UNITS: dict[str, tuple[str, Fraction]] = {
    word: (head.split()[0], Fraction(head.split()[1]))
    for head, _, words in (line.partition(":") for line in _TABLE.strip().splitlines())
    for word in words.split()
}
_RATES = {"mph": "miles per hour", "kph": "km per hour", "kmh": "km per hour", "fps": "feet per s"}
_LETTER_UNITS = frozenset(re.findall(r"\S+", "m g s h L l N J W V A"))
_POWERS = {"square": 2, "sq": 2, "cubic": 3}
_AFTER = {"squared": 2, "cubed": 3}
_INCH = re.compile(r"\bin\b(?!\s+[A-Za-z])")
_IDLE = frozenset(
    re.findall(r"\S+", "a an of the in each every total more left old away long per was were")
)
_TOKEN = re.compile(r"[A-Za-z°μ¢$€£¥₹][\w'°-]*|/|\^\s*\{?\s*-?\d\s*\}?")


def read_unit(text: str) -> Unit:
    """Read the words after a number: `km/h`, `square feet`, `cm^2`, `red apples`."""
    powers: dict[str, int] = {}
    nouns: set[str] = set()
    per: set[str] = set()
    factor, sign, power = Fraction(1), 1, 1
    for token, after in _with_power(text):
        word = token.lower()
        known = _known(token)
        if word in ("per", "/"):
            sign = -1
        elif word in _POWERS:
            power = _POWERS[word]
        elif sign < 0 and _CURRENCIES & powers.keys():
            per.add(singular(word))
        elif known:
            exponent = sign * power * after
            factor *= known[1] ** exponent
            powers[known[0]] = powers.get(known[0], 0) + exponent
            power = 1
        elif word not in _IDLE and word.isalpha():
            nouns.add(singular(word))
    if powers == {"length": 3}:  # a cubic metre is a thousand litres
        powers, factor = {"volume": 1}, factor * 1000
    if powers.keys() & {"celsius", "fahrenheit"}:
        powers.pop("degree", None)
    kept = tuple(sorted((name, power) for name, power in powers.items() if power))
    return Unit(kept, factor, frozenset(nouns), frozenset(per))


def _with_power(text: str) -> Iterator[tuple[str, int]]:
    """Yield each word with the power that follows it: `cm^2`, `feet squared`."""
    text = _INCH.sub("inch", text)
    for rate, words in _RATES.items():
        text = re.sub(rf"(?i)\b{rate}\b", words, text)
    tokens = _TOKEN.findall(text)
    for place, token in enumerate(tokens):
        following = tokens[place + 1].lower() if place + 1 < len(tokens) else ""
        if token[0] == "^" or token.lower() in _AFTER:
            continue
        if following[:1] == "^":
            yield token, int(re.sub(r"[^\d-]", "", following))
        else:
            yield token, _AFTER.get(following, 1)


def _known(word: str) -> tuple[str, Fraction] | None:
    if len(word) == 1 and word.isascii() and word.isalpha() and word not in _LETTER_UNITS:
        return None
    return _UNITS.get(word) or _UNITS.get(word.lower())


def is_unit(word: str) -> bool:
    """Whether a word is a known unit: `km`, `dollars`."""
    return _known(word) is not None or word.lower() in _RATES


def singular(word: str) -> str:
    """The singular of a regular English plural."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(?:s|x|z|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


_WORD = r"[A-Za-z°€£$¥₹]+(?:\s?/\s?[A-Za-z]+|\s+per\s+[A-Za-z]+)?"
_ASKED = re.compile(
    rf"\bhow many\s+(?P<many>(?:square |cubic )?{_WORD})"
    rf"|\b(?:in|into|number of|nearest)\s+(?P<in>(?:whole |square |cubic )?{_WORD})"
    rf"|\((?P<bracket>{_WORD})\)",
    re.IGNORECASE,
)


def asked_unit(question: str) -> Unit | None:
    """The unit in which a question wants its answer; None if it doesn't name one, or several."""
    found = set()
    for match in _ASKED.finditer(question[-2000:]):
        words = match["many"] or match["in"] or match["bracket"]
        if len(words) > 1 and is_unit(re.split(r"[\s/]+", words)[-1]):
            found.add(read_unit(words))
    known = {unit for unit in found if unit.dimension}
    return known.pop() if len(known) == 1 else None
