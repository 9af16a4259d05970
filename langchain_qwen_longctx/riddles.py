"""Facts to hide in a long document, and questions about them. All of it is made up; the same seed, the same riddles.

The kinds are those of the long-context benchmarks:

- `needle`: one fact, at every depth; `unanswerable`: the same question about something that no fact is about
- `multikey`, `multivalue`, `variables`, `counting`, `most`: in the manner of RULER (https://arxiv.org/abs/2404.06654):
  one key among many that look like it, all values of a key, chains of assignments, how often, and what most often
- `whereabouts`, `carrying`, `before`: in the manner of BABILong's qa1 to qa3 (https://arxiv.org/abs/2406.10149): where
  someone is now, where what they carry is, and where it was before that
- `no-overlap`: in the manner of NoLiMa (https://arxiv.org/abs/2502.05167): question and fact share no word, and only
  who knows that the Eiffel Tower is in Paris can tell
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from langchain_qwen_longctx.haystacks import Lang


@dataclass(frozen=True, slots=True)
class Riddle:
    """A question, and the facts that tell its answer.

    Attributes:
        question: The question.
        answers: The right answers, any of which will do.
        facts: Sentences that go into the document, in their order.
        needed: Which of them the answer rests on, by their place in `facts`.
        needs_all: Whether all of `answers` must be given.
    """

    question: str
    answers: tuple[str, ...]
    facts: tuple[str, ...]
    needed: tuple[int, ...] = (0,)
    needs_all: bool = False


_NEEDLES: Final[dict[Lang, tuple[tuple[str, str], ...]]] = {
    "en": (
        ("The keeper of the {place} lighthouse is {person}.", "Who is the keeper of the {place} lighthouse?"),
        ("The clock on the {place} tower was built by {person}.", "Who built the clock on the {place} tower?"),
        ("{person} won the great race of {place}.", "Who won the great race of {place}?"),
        ("The song of the {place} bells was written by {person}.", "Who wrote the song of the {place} bells?"),
        ("{person} found the silver mine of {place}.", "Who found the silver mine of {place}?"),
    ),
    "zh": (
        ("{place}灯塔的看守人是{person}。", "{place}灯塔的看守人是谁？"),
        ("{place}塔楼上的大钟是{person}造的。", "{place}塔楼上的大钟是谁造的？"),
        ("{person}赢得了{place}的大赛马。", "谁赢得了{place}的大赛马？"),
        ("{place}钟声之歌的作者是{person}。", "{place}钟声之歌的作者是谁？"),
        ("{person}发现了{place}的银矿。", "谁发现了{place}的银矿？"),
    ),
}

_LANDMARKS: Final = (
    ("Eiffel Tower", "Paris", "埃菲尔铁塔", "巴黎"),
    ("Colosseum", "Rome", "斗兽场", "罗马"),
    ("Brandenburg Gate", "Berlin", "勃兰登堡门", "柏林"),
    ("Big Ben", "London", "大本钟", "伦敦"),
    ("Sagrada Família", "Barcelona", "圣家堂", "巴塞罗那"),
    ("Kremlin", "Moscow", "克里姆林宫", "莫斯科"),
    ("Forbidden City", "Beijing", "故宫", "北京"),
    ("Bund", "Shanghai", "外滩", "上海"),
    ("Terracotta Army", "Xi'an", "兵马俑", "西安"),
    ("Potala Palace", "Lhasa", "布达拉宫", "拉萨"),
    ("Yellow Crane Tower", "Wuhan", "黄鹤楼", "武汉"),
    ("Statue of Liberty", "New York", "自由女神像", "纽约"),
    ("Golden Gate Bridge", "San Francisco", "金门大桥", "旧金山"),
    ("Golden Pavilion", "Kyoto", "金阁寺", "京都"),
    ("Acropolis", "Athens", "卫城", "雅典"),
    ("Burj Khalifa", "Dubai", "哈利法塔", "迪拜"),
    ("Hagia Sophia", "Istanbul", "圣索菲亚大教堂", "伊斯坦布尔"),
    ("Little Mermaid statue", "Copenhagen", "小美人鱼铜像", "哥本哈根"),
    ("Charles Bridge", "Prague", "查理大桥", "布拉格"),
    ("Merlion", "Singapore", "鱼尾狮", "新加坡"),
    ("White House", "Washington", "白宫", "华盛顿"),
    ("Rijksmuseum", "Amsterdam", "荷兰国立博物馆", "阿姆斯特丹"),
    ("Petronas Towers", "Kuala Lumpur", "双子塔", "吉隆坡"),
    ("Table Mountain", "Cape Town", "桌山", "开普敦"),
)

_ROOMS: Final[dict[Lang, str]] = {
    "en": "kitchen garden cellar library stable attic pantry workshop chapel laundry",
    "zh": "厨房 花园 地窖 书房 马厩 阁楼 食品间 工坊 礼拜堂 洗衣房",
}
_OBJECTS: Final[dict[Lang, str]] = {
    "en": "football lantern violin compass teapot umbrella telescope hammer necklace mirror",
    "zh": "足球 灯笼 小提琴 罗盘 茶壶 雨伞 望远镜 锤子 项链 镜子",
}
_STARTS: Final = "Bal Cor Dav Fen Gar Hol Jas Kel Lor Mar Nev Orl Pel Quin Ros Sel Tam Ulv Ver Wil Yar Zan".split()  # noqa: SIM905
_ENDS: Final = "ander brook dell ford gate holm land mere nock ridge stead thorpe vale wick worth".split()  # noqa: SIM905
_GIVEN: Final = "Ada Bruno Clara Dorian Edda Felix Greta Hugo Ines Jonas Kara Leo Mina Nils Olga Piet Runa Stig".split()  # noqa: SIM905
_SURNAMES: Final = "沈陆梁顾贺程曹袁邓许傅曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金郝孔"
_CHARACTERS: Final = "云岚溪禾霁朗澄衡棠桐墨砚笙弈知远若初予安景行怀瑾书意沐阳清和望舒思齐承泽嘉言"
_PLACES: Final = "青白金银石松柳枫竹梅桃杏荷兰雁鹤鹿虎龙凤云雾雪霜月星"
_PLACE_ENDS: Final = "湾港岭坡桥镇渡滩谷屯集堡寨浦"


SHARE_OF_NEW_TRIES: Final = 0.9


class Names:
    """Names that nobody has, none of them twice."""

    def __init__(self, lang: Lang, random: Random) -> None:
        self._lang, self._random, self._used = lang, random, set[str]()

    def person(self) -> str:
        """Return the name of a person."""
        if self._lang == "zh":
            return self._new(lambda: self._pick(_SURNAMES) + self._pick(_CHARACTERS) + self._pick(_CHARACTERS))
        return self._new(lambda: f"{self._pick(_GIVEN)} {self._pick(_STARTS)}{self._pick(_ENDS)}")

    def place(self) -> str:
        """Return the name of a place."""
        if self._lang == "zh":
            return self._new(lambda: self._pick(_PLACES) + self._pick(_CHARACTERS) + self._pick(_PLACE_ENDS))
        return self._new(lambda: f"{self._pick(_STARTS)}{self._pick(_ENDS)}")

    def code(self) -> str:
        """Return a name such as those of variables."""
        return self._new(lambda: "".join(self._pick("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(4)))

    def number(self) -> str:
        """Return a number of five digits."""
        return self._new(lambda: str(self._random.randint(10_000, 99_999)))

    def _pick(self, choice: str | list[str]) -> str:
        return self._random.choice(choice)

    def _new(self, make: Callable[[], str]) -> str:
        name = make()
        while name in self._used:
            # Where nearly all are taken, a number makes another.
            name = make() if self._random.random() < SHARE_OF_NEW_TRIES else f"{make()}-{len(self._used)}"
        self._used.add(name)
        return name


def needles(lang: Lang, count: int, random: Random) -> Iterator[Riddle]:
    """Yield riddles of one fact."""
    names = Names(lang, random)
    for number in range(count):
        fact, question = _NEEDLES[lang][number % len(_NEEDLES[lang])]
        place, person = names.place(), names.person()
        yield Riddle(question.format(place=place), (person,), (fact.format(place=place, person=person),))


def unanswerable(lang: Lang, count: int, random: Random) -> Iterator[Riddle]:
    """Yield the questions of needles about other places than those that there are facts about."""
    names = Names(lang, random)
    for number in range(count):
        fact, question = _NEEDLES[lang][number % len(_NEEDLES[lang])]
        told = fact.format(place=names.place(), person=names.person())
        yield Riddle(question.format(place=names.place()), (), (told,), ())


def multikey(lang: Lang, count: int, random: Random) -> Iterator[Riddle]:
    """Yield riddles of one key among four that look like it."""
    names = Names(lang, random)
    says = {"en": "The number of locker {key} is {value}.", "zh": "{key}号储物柜的密码是{value}。"}[lang]
    asks = {"en": "What is the number of locker {key}?", "zh": "{key}号储物柜的密码是多少？"}[lang]
    for _ in range(count):
        key = names.code()
        keys = [key, *(key[:place] + "X" + key[place + 1 :] for place in range(4))]
        values = [names.number() for _ in keys]
        facts = tuple(says.format(key=k, value=v) for k, v in zip(keys, values, strict=True))
        yield Riddle(asks.format(key=key), (values[0],), facts)


def multivalue(lang: Lang, count: int, random: Random) -> Iterator[Riddle]:
    """Yield riddles that ask for all four values of a key."""
    names = Names(lang, random)
    says = {"en": "{person} owns a boat called {boat}.", "zh": "{person}有一条船，名叫{boat}。"}[lang]
    asks = {
        "en": "What are the boats of {person} called? Name them all.",
        "zh": "{person}的船都叫什么名字？请全部列出。",
    }[lang]
    for _ in range(count):
        person, boats = names.person(), tuple(names.place() for _ in range(4))
        facts = tuple(says.format(person=person, boat=boat) for boat in boats)
        yield Riddle(asks.format(person=person), boats, facts, tuple(range(4)), needs_all=True)


def variables(lang: Lang, count: int, random: Random) -> Iterator[Riddle]:
    """Yield riddles that follow a value through three variables."""
    names = Names(lang, random)
    first = {"en": "Variable {a} is set to {value}.", "zh": "变量{a}的值设为{value}。"}[lang]
    later = {"en": "Variable {a} is set to the value of variable {b}.", "zh": "变量{a}的值设为变量{b}的值。"}[lang]
    asks = {"en": "What is the value of variable {a}?", "zh": "变量{a}的值是多少？"}[lang]
    for _ in range(count):
        a, b, c, value = names.code(), names.code(), names.code(), names.number()
        facts = (first.format(a=a, value=value), later.format(a=b, b=a), later.format(a=c, b=b))
        yield Riddle(asks.format(a=c), (value,), facts, (2, 1, 0))


def counting(lang: Lang, count: int, random: Random) -> Iterator[Riddle]:
    """Yield riddles that ask how often something happened."""
    names = Names(lang, random)
    says = {"en": "On day {day}, the ferry {boat} called at {port}.", "zh": "第{day}天，渡船{boat}号停靠了{port}。"}[
        lang
    ]
    asks = {"en": "How many times did the ferry {boat} call at {port}?", "zh": "渡船{boat}号一共停靠了{port}多少次？"}[
        lang
    ]
    for _ in range(count):
        boat, port, often = names.place(), names.place(), random.randint(3, 9)
        days = sorted(random.sample(range(1, 1000), often))
        facts = tuple(says.format(day=day, boat=boat, port=port) for day in days)
        yield Riddle(asks.format(boat=boat, port=port), (str(often),), facts, tuple(range(often)))


def most(lang: Lang, count: int, random: Random) -> Iterator[Riddle]:
    """Yield riddles that ask what comes most often."""
    names = Names(lang, random)
    says = {
        "en": "In the election of {place}, a vote was cast for {person}.",
        "zh": "在{place}的选举中，{person}得到一票。",
    }[lang]
    asks = {"en": "Who got the most votes in the election of {place}?", "zh": "在{place}的选举中，谁得票最多？"}[lang]
    for _ in range(count):
        place, people = names.place(), [names.person() for _ in range(4)]
        votes = [person for person, often in zip(people, (6, 3, 2, 1), strict=True) for _ in range(often)]
        random.shuffle(votes)
        facts = tuple(says.format(place=place, person=person) for person in votes)
        yield Riddle(asks.format(place=place), (people[0],), facts, tuple(range(len(facts))))


def whereabouts(lang: Lang, count: int, random: Random) -> Iterator[Riddle]:
    """Yield riddles that ask where someone went last."""
    for tale in _tales(lang, count, random):
        yield Riddle(tale.asks("where_person"), (tale.rooms[-1],), tale.moves(), (len(tale.rooms) - 1,))


def carrying(lang: Lang, count: int, random: Random) -> Iterator[Riddle]:
    """Yield riddles that ask where a thing is that someone has taken along."""
    for tale in _tales(lang, count, random):
        facts = (tale.takes(), *tale.moves())
        yield Riddle(tale.asks("where_thing"), (tale.rooms[-1],), facts, (0, len(facts) - 1))


def before(lang: Lang, count: int, random: Random) -> Iterator[Riddle]:
    """Yield riddles that ask where a thing was before it came to where it is."""
    for tale in _tales(lang, count, random):
        facts = (tale.takes(), *tale.moves())
        yield Riddle(tale.asks("where_before"), (tale.rooms[-2],), facts, (0, len(facts) - 1, len(facts) - 2))


_TALES: Final[dict[Lang, dict[str, str]]] = {
    "en": {
        "moves": "{person} went to the {room}.",
        "takes": "{person} picked up the {thing}.",
        "where_person": "Where is {person} now?",
        "where_thing": "Where is the {thing} that {person} picked up?",
        "where_before": "Where was the {thing} that {person} picked up before it came to the {room}?",
    },
    "zh": {
        "moves": "{person}去了{room}。",
        "takes": "{person}拿起了{thing}。",
        "where_person": "{person}现在在哪里？",
        "where_thing": "{person}拿起的{thing}现在在哪里？",
        "where_before": "{person}拿起的{thing}在到{room}之前在哪里？",
    },
}


@dataclass(frozen=True, slots=True)
class _Tale:
    lang: Lang
    person: str
    thing: str
    rooms: tuple[str, ...]

    def moves(self) -> tuple[str, ...]:
        return tuple(_TALES[self.lang]["moves"].format(person=self.person, room=room) for room in self.rooms)

    def takes(self) -> str:
        return _TALES[self.lang]["takes"].format(person=self.person, thing=self.thing)

    def asks(self, what: str) -> str:
        return _TALES[self.lang][what].format(person=self.person, thing=self.thing, room=self.rooms[-1])


def _tales(lang: Lang, count: int, random: Random) -> Iterator[_Tale]:
    names = Names(lang, random)
    for _ in range(count):
        rooms = tuple(random.sample(_ROOMS[lang].split(), 3))
        yield _Tale(lang, names.person(), random.choice(_OBJECTS[lang].split()), rooms)


def no_overlap(lang: Lang, count: int, random: Random) -> Iterator[Riddle]:
    """Yield riddles whose question shares no word with the fact; there are as many as known landmarks."""
    names = Names(lang, random)
    says = {"en": "{person} has a flat next door to the {landmark}.", "zh": "{person}的住处紧挨着{landmark}。"}[lang]
    asks = {"en": "Who is at home in {city}?", "zh": "谁家在{city}？"}[lang]
    for english, city, chinese, stadt in random.sample(_LANDMARKS, min(count, len(_LANDMARKS))):
        person = names.person()
        fact = says.format(person=person, landmark=english if lang == "en" else chinese)
        yield Riddle(asks.format(city=city if lang == "en" else stadt), (person,), (fact,))


MAKERS: Final[dict[str, Callable[[Lang, int, Random], Iterator[Riddle]]]] = {
    "needle": needles,
    "unanswerable": unanswerable,
    "multikey": multikey,
    "multivalue": multivalue,
    "variables": variables,
    "counting": counting,
    "most": most,
    "whereabouts": whereabouts,
    "carrying": carrying,
    "before": before,
    "no-overlap": no_overlap,
}
"""How the riddles of each kind are made: of a language, so many, by chance."""
