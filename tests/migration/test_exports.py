"""Files as people have them: other programs, other languages, sums, titles and second sheets."""

import pytest

from leadlog.leads.migration import MigrationManager
from leadlog.leads.store import LeadDatabase
from tests.migration.test_files import workbook

IDA = ("Ida Strand", "Strandverk AS", "ida@strandverk.example", "+47 555 01 234")
TOM = ("Tom Vang", "Vangbygg", "tom@vangbygg.example", "+47 999 02 345")


def migrated(tmp_path, content, name="leads.csv", **options):
    """The result, and name, company, address and number of each lead, by name."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with LeadDatabase(tmp_path / "leads.db", capture=False) as db:
        result = MigrationManager(db).migrate_json_files([path], backup=False, **options)
        leads = list(db.get_all_leads())
    fields = ("full_name", "company", "email", "phone")
    people = sorted(tuple(lead[field] for field in fields) for lead in leads)
    return result, people, {lead["full_name"]: lead for lead in leads}


LANGUAGES = {
    "XING": "Anrede;Vorname;Nachname;Firma;Position;E-Mail (geschäftlich);Mobil (geschäftlich)\n"
    "Frau;Ida;Strand;Strandverk AS;CEO;{ida};{ida_tel}\nHerr;Tom;Vang;Vangbygg;;{tom};{tom_tel}\n",
    "German": "Messe Hannover\nStand: 01.03.2024\n\n"
    "Nr.;Name;Vorname;Firma;Funktion;Mailadresse;Tel.\n"
    "1;Strand;Ida;Strandverk AS;CEO;{ida};{ida_tel}\n2;Vang;Tom;Vangbygg;;{tom};{tom_tel}\n",
    "French": "Civilité;Nom;Prénom;Société;Fonction;Adresse mail;Téléphone fixe;Téléphone mobile\n"
    "Mme;Strand;Ida;Strandverk AS;CEO;{ida};{ida_tel};\nM.;Vang;Tom;Vangbygg;;{tom};;{tom_tel}\n",
    "Portuguese": "Nome completo;Empresa;Cargo;E-mail;Telefone comercial;Telemóvel\n"
    "Ida Strand;Strandverk AS;CEO;{ida};{ida_tel};\nTom Vang;Vangbygg;;{tom};;{tom_tel}\n",
    "Polish": "Lp.;Imię;Nazwisko;Stanowisko;Firma;E-mail;Telefon;Telefon kom.\n1;Ida;Strand;CEO;"
    "Strandverk AS;{ida};{ida_tel};\n2;Tom;Vang;;Vangbygg;{tom};;{tom_tel}\nRAZEM;2;;;;;;\n",
    "Russian": "№;Фамилия;Имя;Компания;Должность;E-mail;Рабочий телефон;Мобильный\n1;Strand;Ida;"
    "Strandverk AS;CEO;{ida};{ida_tel};\n2;Vang;Tom;Vangbygg;;{tom};;{tom_tel}\nИтого;2;;;;;;\n",
    "Japanese": "会社名,役職,姓,名,氏名,e-mail,TEL会社,携帯電話\nStrandverk AS,CEO,Strand,Ida,"
    "Ida Strand,{ida},{ida_tel},\nVangbygg,,Vang,Tom,Tom Vang,{tom},,{tom_tel}\n合計,2,,,,,,\n",
    "Notion": "Name,Company,E-mail,Phone\nIda Strand,Strandverk AS (https://notion.so/a-1?pvs=2),"
    "{ida},{ida_tel}\nTom Vang,Vangbygg (https://notion.so/b-1?pvs=2),{tom},{tom_tel}\n",
    "Typeform": "#,First name,Last name,Company,Email,Phone number\nk1,Ida,Strand,Strandverk AS,"
    "{ida},'{ida_tel}\nk2,Tom,Vang,Vangbygg,{tom},'{tom_tel}\n",
    "Excel": 'Name,Company,Email,Phone\nIda Strand,Strandverk AS,"{ida}, ida@x.example",'
    '"=""{ida_tel}"""\nTom Vang,Vangbygg,{tom}; tom@x.example,{tom_tel}\n',
}


@pytest.mark.parametrize("kind", LANGUAGES)
def test_people_arrive_with_company_address_and_number(tmp_path, kind):
    """Two people are two leads whatever the header's language, and a sum is none."""
    values = {"ida": IDA[2], "tom": TOM[2], "ida_tel": IDA[3], "tom_tel": TOM[3]}
    result, people, _ = migrated(tmp_path, LANGUAGES[kind].format_map(values))
    assert people == [IDA, TOM]
    assert all("total" in one.reason for one in result.rejects)


def test_what_was_taken_out_of_a_cell_is_kept(tmp_path):
    """The second address and the page of a relation stay in raw_data."""
    text = "Name,Company,E-mail\nIda Strand,Acme (https://notion.so/a),ida@a.example;i@b.example\n"
    _, _, leads = migrated(tmp_path, text)
    assert leads["Ida Strand"]["raw_data"] == {
        "Company": "Acme (https://notion.so/a)",
        "E-mail": "ida@a.example;i@b.example",
    }


def test_a_text_in_brackets_is_part_of_a_company(tmp_path):
    """Only the address of a page is taken off."""
    text = "Name,Company,E-mail\nIda Strand,Acme (Norway),ida@a.example or @ida\n"
    _, ((_, company, email, _),), _ = migrated(tmp_path, text)
    assert (company, email) == ("Acme (Norway)", "ida@a.example or @ida")


def test_the_title_of_a_group_is_no_person(tmp_path):
    """monday.com repeats the header under the title of each group."""
    header = "Name,Status,Company,Email\n"
    text = (
        f"Leads\nNew Leads\n{header}Ida Strand,New,Strandverk AS,{IDA[2]}\n"
        f"Qualified Leads,,,\n{header}Tom Vang,Won,Vangbygg,{TOM[2]}\nSiw Aas,,,\n"
    )
    result, people, _ = migrated(tmp_path, text)
    assert [one[0] for one in people] == ["Ida Strand", "Siw Aas", "Tom Vang"]
    assert "title" in result.rejects[0].reason


def test_a_name_of_digits_with_an_address_is_a_lead(tmp_path):
    """A name of digits is a lead if it has an address; otherwise it is rejected."""
    result, people, _ = migrated(tmp_path, "Name,Email\n1337,elite@a.example\n12,\n")
    assert [one[0] for one in people] == ["1337"]
    assert result.rejected == 1


def test_the_sheet_with_leads_is_read_and_the_others_are_named(tmp_path):
    """The sheet with leads is read, though another is first and it has a second header."""
    sheets = {
        "Info": [["Export of leads"], ["Created by", "Sven Moe"]],
        "Leads": [
            ["Contact", "", "", "Company", ""],
            ["First Name", "Last Name", "E-mail", "Company", "Phone"],
            ["Ida", "Strand", IDA[2], IDA[1], IDA[3]],
            ["Tom", "Vang", TOM[2], TOM[1], TOM[3]],
        ],
        "Pivot": [["Row Labels", "Count of Name"], ["Grand Total", "2"]],
    }
    result, people, _ = migrated(tmp_path, workbook(sheets), "leads.xlsx")
    assert people == [IDA, TOM]
    note = next(one for one in result.sources[0].notes if "other sheets" in one)
    assert result.sources[0].notes[note] == 2
    result, people, _ = migrated(tmp_path, workbook(sheets), "again.xlsx", sheet="Info")
    assert (result.migrated, people) == (0, [IDA, TOM])


def test_a_column_that_is_to_be_kept_is_not_opened(tmp_path):
    """`--map contact=raw_data` keeps an envelope of that name as it is."""
    text = '[{"contact": {"name": "Ida Strand"}, "id": 7, "title": "CEO"}]'
    _, people, _ = migrated(tmp_path, text, "leads.json")
    assert [one[0] for one in people] == ["Ida Strand"]
    result, people, _ = migrated(
        tmp_path, text, "kept.json", columns={"contact": "raw_data"}, dry_run=True
    )
    assert (result.migrated, result.rejected) == (0, 1)
