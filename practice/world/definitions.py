"""What the practice servers collect: data sets, elements, categories and the referral program, with their UIDs.

The two servers are two national systems: same meaning, different UIDs and option codes, except for the WHO malaria package,
whose UIDs are the published ones on both. Values do not belong here; `practice/mhwg.toml` repeats the UIDs as a deployment
would write them, and a test compares the two.
"""

from dataclasses import dataclass
from functools import cache

from practice.world.draws import uid

# DHIS2 ships these identifiers with every installation.
DEFAULT_OPTION_COMBO = "HllvX50cXC0"
DEFAULT_COMBO = "bjDvmb4bfuf"
DEFAULT_OPTION = "xYerKDKCefk"
DEFAULT_CATEGORY = "GLevLNI9wkl"

TB_AGES = ("Y0T4", "Y5T9", "Y10T14", "Y15T19", "Y20T24", "Y25T34", "Y35T44", "Y45T54", "Y55T64", "Y_GE65", "_U")
HIV_AGES = ("Y0T14", "Y15T24", "Y25T49", "Y_GE50")
AGE_NAMES = {
    "Y0T4": "0-4 years", "Y5T9": "5-9 years", "Y10T14": "10-14 years", "Y15T19": "15-19 years", "Y20T24": "20-24 years",
    "Y25T34": "25-34 years", "Y35T44": "35-44 years", "Y45T54": "45-54 years", "Y55T64": "55-64 years",
    "Y_GE65": "65+ years", "_U": "Unknown age", "Y0T14": "0-14 years", "Y15T24": "15-24 years", "Y25T49": "25-49 years",
    "Y_GE50": "50+ years",
}  # fmt: skip
SEX_NAMES = {"F": "Female", "M": "Male"}
ORIGIN_NAMES = {"0": "Born in the country", "2": "Foreign-born", "99": "Place of birth unknown"}


@dataclass(frozen=True)
class OptionCombo:
    """One category option combination of one server and what it means."""

    uid: str
    name: str
    meaning: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Combo:
    """One category combination: its categories (concept, codes) and their cross product."""

    uid: str
    name: str
    categories: tuple[tuple[str, str, tuple[str, ...]], ...]  # concept, name, codes
    option_combos: tuple[OptionCombo, ...]


@dataclass(frozen=True)
class Element:
    """One aggregate data element of one server."""

    uid: str
    code: str
    name: str
    concept_code: str
    combo: Combo
    zero_is_significant: bool = False


@dataclass(frozen=True)
class DataSet:
    """One data set of one server."""

    uid: str
    code: str
    name: str
    period_type: str
    timely_days: int
    elements: tuple[Element, ...]


def _label(concept: str, code: str) -> str:
    return {"sex": SEX_NAMES, "age": AGE_NAMES, "migrant_status": ORIGIN_NAMES}[concept][code]


@cache
def combos(server: str) -> dict[str, Combo]:
    """The category combinations of a server: none, sex by age, sex, origin."""
    wanted: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
        "tb_sex_age": (("sex", "TB sex", ("F", "M")), ("age", "TB age bands", TB_AGES)),
        "hiv_sex_age": (("sex", "HIV sex", ("F", "M")), ("age", "HIV age bands", HIV_AGES)),
        "sex": (("sex", "Sex", ("F", "M")),),
        "origin": (("migrant_status", "Place of birth", ("0", "2", "99")),),
    }
    made = {"default": Combo(DEFAULT_COMBO, "default", (), (OptionCombo(DEFAULT_OPTION_COMBO, "default", ()),))}
    for key, categories in wanted.items():
        cells: list[tuple[tuple[str, str], ...]] = [()]
        for concept, _, codes in categories:
            cells = [(*cell, (concept, code)) for cell in cells for code in codes]
        combos_of = tuple(
            OptionCombo(uid(server, "coc", key, cell), ", ".join(_label(*part) for part in cell), cell)
            for cell in cells
        )
        name = " / ".join(name for _, name, _ in categories)
        made[key] = Combo(uid(server, "combo", key), name, categories, combos_of)
    return made


_OUTCOMES = (
    ("COHORT", "cohort registered"), ("CURED", "cured"), ("COMPLETED", "treatment completed"), ("FAILED", "treatment failed"),
    ("DIED", "died"), ("LOST", "lost to follow-up"), ("NOT_EVALUATED", "not evaluated"),
    ("MOVED_SECOND_LINE", "moved to second-line treatment"),
)  # fmt: skip
# WHO package "malaria across borders and mobile and migrant populations": UIDs and codes as published.
_WHO_MALARIA = (
    ("CxI1FHE4oEh", "MAL_TEST_CROSS_BORDERS", "Malaria tested across borders", "MAL_BORDER_TESTED"),
    ("UwaQ0MJzXBz", "MAL_POS_CROSS_BORDERS", "Malaria positive across borders", "MAL_BORDER_POSITIVE"),
    ("wAHUeGPbH9A", "MAL_POS_CROSS_BORDERS_FOLLO_14D", "Malaria positive across borders, followed 14 days", "MAL_BORDER_FOLLOWED"),
    ("S3AqkeU4DET", "MAL_MM_POP_TEST", "Malaria tested, migrant and mobile population", "MAL_MOBILE_TESTED"),
    ("CWHBMa4nC9J", "MAL_MM_POP_POS", "Malaria positive, migrant and mobile population", "MAL_MOBILE_POSITIVE"),
    ("kdMT3AuDzj1", "MAL_MM_POP_FOLLO_UP_FOR_14D", "Malaria positive, mobile population, followed 14 days", "MAL_MOBILE_FOLLOWED"),
)  # fmt: skip


@cache
def data_sets(server: str) -> dict[str, DataSet]:
    """The data sets of a server by code."""
    combo = combos(server)

    def element(code: str, name: str, concept: str, combo_key: str = "default", zero: bool = False) -> Element:
        return Element(uid(server, "element", code), code, name, concept, combo[combo_key], zero)

    tb = (
        element("TB_NEWREC_NOTIF", "TB new and recurrent episodes notified", "TB_NOTIFIED", "tb_sex_age"),
        element(
            "TB_NEWREC_BIRTHPLACE", "TB new and recurrent episodes by place of birth", "TB_NOTIFIED_BY_ORIGIN", "origin"
        ),
    )
    outcomes = tuple(
        element(f"TB_OUT_{key}", f"TB new and recurrent cohort: {name}", f"TB_OUTCOME_{key}", "sex")
        for key, name in _OUTCOMES
    )
    # Zero is meant on the malaria form: a border post without a case says so.
    published = (Element(u, code, name, concept, combo["default"], True) for u, code, name, concept in _WHO_MALARIA)
    malaria = (
        *published,
        element("MAL_CONF", "Malaria confirmed cases", "MAL_CONFIRMED", zero=True),
        element("MAL_CLASS_DONE", "Malaria cases with completed classification", "MAL_CLASSIFIED", zero=True),
        element("MAL_CLASS_IMPORTED", "Malaria cases classified imported", "MAL_IMPORTED", zero=True),
    )
    hiv = (
        element("HIV_TEST", "People tested for HIV", "HIV_TESTED", "hiv_sex_age"),
        element("HIV_TEST_POS", "People testing positive for HIV", "HIV_POSITIVE", "hiv_sex_age"),
    )
    wanted = (
        ("TB_MONTHLY", "TB notifications (monthly)", "Monthly", 15, tb),
        ("TB_OUTCOMES", "TB treatment outcomes (by quarter of registration)", "Quarterly", 450, outcomes),
        ("MAL_BORDER", "Malaria: across borders, mobile and migrant population", "Monthly", 10, malaria),
        ("HIV_TESTING", "HIV testing (monthly)", "Monthly", 15, hiv),
    )
    return {
        code: DataSet(uid(server, "data set", code), code, name, period_type, timely, elements)
        for code, name, period_type, timely, elements in wanted
    }


@dataclass(frozen=True)
class Attribute:
    """One tracked entity attribute of the referral program."""

    concept: str
    uid: str
    code: str
    name: str
    value_type: str
    option_set: str | None = None


@dataclass(frozen=True)
class StageElement:
    """One data element of a stage of the referral program."""

    concept: str
    uid: str
    code: str
    name: str
    value_type: str
    option_set: str | None = None


@dataclass(frozen=True)
class Stage:
    """One stage of the referral program."""

    concept: str
    uid: str
    name: str
    repeatable: bool
    elements: tuple[StageElement, ...]


@dataclass(frozen=True)
class Program:
    """The referral program of one server, with its option sets: concept -> our code -> the server's option code."""

    uid: str
    code: str
    name: str
    tracked_entity_type: str
    attributes: tuple[Attribute, ...]
    stages: tuple[Stage, ...]
    options: dict[str, dict[str, str]]

    def attribute(self, concept: str) -> Attribute:
        """The attribute that carries a concept."""
        return next(a for a in self.attributes if a.concept == concept)

    def stage(self, concept: str) -> Stage:
        """The stage that carries a step of the referral."""
        return next(s for s in self.stages if s.concept == concept)


_ATTRIBUTES = (
    ("national_id", "NATIONAL_ID", "National identity number", "TEXT", None),
    ("family_name", "FAMILY_NAME", "Family name", "TEXT", None),
    ("given_name", "GIVEN_NAME", "Given name", "TEXT", None),
    ("sex", "PATINFO_SEX", "Sex", "TEXT", "sex"),
    ("birth_date", "PATINFO_DOB", "Date of birth", "DATE", None),
    ("phone", "PHONE_LOCAL", "Telephone", "PHONE_NUMBER", None),
    ("address", "ADDRESS", "Address", "LONG_TEXT", None),
    ("nationality", "NATIONALITY", "Nationality", "TEXT", "nationality"),
    ("country_of_birth", "COUNTRY_OF_BIRTH", "Country of birth", "TEXT", "nationality"),
    ("migrant_status", "MIGRANT_TYPE", "Type of migrant", "TEXT", "migrant_status"),
)
_STAGES = (
    ("sent", "1 Referral sent", False, (
        ("direction", "REF_DIRECTION", "Direction of the referral", "TEXT", "direction"),
        ("disease", "REF_DISEASE", "Disease", "TEXT", "disease"),
        ("from_org_unit", "REF_FROM_UNIT", "Referred from", "ORGANISATION_UNIT", None),
        ("to_org_unit", "REF_TO_UNIT", "Referred to", "ORGANISATION_UNIT", None),
        ("treatment_started_on", "REF_TREAT_START", "Treatment started on", "DATE", None),
        ("reason", "REF_REASON", "Reason of the referral", "LONG_TEXT", None),
        ("needs_interpreter", "REF_INTERPRETER", "Interpreter needed", "TRUE_ONLY", None),
    )),
    ("received", "2 Patient received", False, (
        ("direction", "RCV_DIRECTION", "Direction of the referral", "TEXT", "direction"),
        ("disease", "RCV_DISEASE", "Disease", "TEXT", "disease"),
        ("from_org_unit", "RCV_FROM_UNIT", "Comes from", "ORGANISATION_UNIT", None),
    )),
    ("registered", "3 Confirmed and registered", False, (
        ("register_number", "REG_NUMBER", "Local register number", "TEXT", None),
        ("treatment_started_on", "REG_TREAT_START", "Treatment started on", "DATE", None),
    )),
    ("follow_up", "4 Follow-up", True, (
        ("adherence_percent", "FUP_ADHERENCE", "Doses taken, per cent", "INTEGER_ZERO_OR_POSITIVE", None),
        ("symptoms", "FUP_SYMPTOMS", "Symptoms", "MULTI_TEXT", "symptoms"),
        ("note", "FUP_NOTE", "Note", "LONG_TEXT", None),
    )),
    ("outcome", "5 Outcome", False, (
        ("outcome", "OUT_OUTCOME", "Treatment outcome", "TEXT", "outcome"),
        ("reported_by", "OUT_REPORTED_BY", "Who reported it", "TEXT", None),
    )),
)  # fmt: skip
_OUTCOME_CODES = ("CURED", "COMPLETED", "FAILURE", "DIED", "LOST_TO_FOLLOW_UP", "NOT_EVALUATED")
_OPTIONS: dict[str, dict[str, dict[str, str]]] = {
    "vnm": {
        "sex": {"F": "FEMALE", "M": "MALE", "_U": "UNKNOWN"},
        "nationality": {"VNM": "VN", "KHM": "KH", "LAO": "LA", "_O": "OTHER"},
        "migrant_status": {"0": "NOT_MIGRANT", "2": "IMMIGRANT", "5": "RETURNEE", "6": "BORDER_MOBILE", "8": "REFUGEE", "99": "UNKNOWN"},
        "direction": {"outgoing": "OUT", "incoming": "IN"},
        "disease": {"TB": "TB", "HIV": "HIV", "MAL": "MALARIA"},
        "outcome": {code: code for code in _OUTCOME_CODES},
        "symptoms": {"COUGH": "COUGH", "FEVER": "FEVER", "WEIGHT": "WEIGHT_LOSS", "NONE": "NONE"},
    },
    "khm": {
        "sex": {"F": "2", "M": "1", "_U": "9"},
        "nationality": {"VNM": "VNM", "KHM": "KHM", "LAO": "LAO", "_O": "OTH"},
        "migrant_status": {"0": "NONE", "2": "INTL_MIGRANT", "5": "RETURN_MIGRANT", "6": "CROSS_BORDER", "8": "DISPLACED",
                           "99": "NOT_KNOWN"},
        "direction": {"outgoing": "SENT", "incoming": "RECEIVED"},
        "disease": {"TB": "TUB", "HIV": "HIV", "MAL": "MAL"},
        "outcome": {code: code for code in _OUTCOME_CODES},
        "symptoms": {"COUGH": "COUGH", "FEVER": "FEVER", "WEIGHT": "WEIGHT", "NONE": "NONE"},
    },
}  # fmt: skip


@cache
def referral_program(server: str) -> Program:
    """The cross-border referral program of a server."""
    return Program(
        uid(server, "program", "referral"), "XB_REFERRAL", "Cross-border patient referral", uid(server, "type", "person"),
        tuple(Attribute(c, uid(server, "attribute", code), code, name, kind, options) for c, code, name, kind, options in _ATTRIBUTES),
        tuple(
            Stage(concept, uid(server, "stage", concept), name, repeatable, tuple(
                StageElement(c, uid(server, "stage element", code), code, label, kind, options)
                for c, code, label, kind, options in elements
            ))
            for concept, name, repeatable, elements in _STAGES
        ),
        _OPTIONS[server],
    )  # fmt: skip
