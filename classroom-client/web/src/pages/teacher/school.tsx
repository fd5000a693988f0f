// One school, looked at closely: its students, and what is done with all of it.

import { MicVocal } from "lucide";
import { t } from "../../i18n/index.ts";
import { deskWords } from "../../i18n/sections/desk.ts";
import { Button } from "../../ui/controls.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import type { Desk } from "./desk.ts";
import { Members } from "./members.tsx";
import { schoolViews } from "./people.ts";

export function SchoolDialog({ desk }: { desk: Desk }) {
  const { state } = desk.session;
  const school = desk.school.value;
  if (!state || school === undefined) return null;
  const words = deskWords.value;
  const view = schoolViews(state).find((one) => one.school === school);
  const close = () => {
    desk.school.value = undefined;
  };
  return (
    <Dialog
      title={desk.schoolName(school)}
      testId="school-dialog"
      onClose={close}
      actions={
        <>
          {view && view.classrooms.length > 0 && (
            <Button
              icon={MicVocal}
              testId="call-school"
              onClick={() => {
                close();
                void desk.ask({ do: "call-school", school });
              }}
            >
              {words.callSchool}
            </Button>
          )}
          <Button look="accent" onClick={close}>
            {t.value.common.close}
          </Button>
        </>
      }
    >
      <p class="quiet">
        {view ? words.schoolMembers(view.students.length + view.classrooms.length) : ""}
        {view && view.hands > 0 && ` · ${words.hands(view.hands)}`}
      </p>
      <div class="school-members">
        <Members
          desk={desk}
          state={state}
          members={view ? [...view.classrooms, ...view.students] : []}
          empty={words.noDevices}
          testId="school-students"
        />
      </div>
    </Dialog>
  );
}
